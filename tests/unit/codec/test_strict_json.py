"""JSON with one meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.strict_json import MAX_DEPTH, Json, canonical, parse
from vedette.errors import ParseError

VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('ab\\"'), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_canonical_is_read_back_and_is_its_own_canonical_form(value: Json) -> None:
    data = canonical(value)
    assert canonical(parse(data, max_bytes=len(data))) == data


def test_canonical_form() -> None:
    assert canonical({"b": [1, "é\n"], "a": None}) == '{"a":null,"b":[1,"é\\n"]}'.encode()


REFUSED = {
    "a name twice": b'{"a":1,"a":2}',
    "a name twice, once escaped": b'{"a":1,"\\u0061":2}',
    "half a surrogate pair": b'["\\udc00"]',
    "half a surrogate pair as a name": b'{"\\ud83d":1}',
    "not a number": b"NaN",
    "minus infinity": b"[-Infinity]",
    "a number beyond all floats": b"[1e999]",
    "latin-1": b'"\xe9"',
    "a tail": b"1 1",
    "nothing": b"",
    "too deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "too deep for any stack": b'{"a":' * 200_000,
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse(data, max_bytes=1 << 20)


def test_brackets_inside_strings_nest_nothing() -> None:
    assert parse(b'"' + b"[" * 100 + b'\\"' + b'{"', max_bytes=200) == "[" * 100 + '"{'


def test_the_deepest_allowed_is_read() -> None:
    parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, max_bytes=100)


@given(st.binary(max_size=200) | st.text('{}[]",:\\u0d8ab1eE+-.', max_size=60).map(str.encode))
def test_any_bytes_give_a_value_or_a_parse_error(data: bytes) -> None:
    try:
        value = parse(data, max_bytes=1000)
    except ParseError:
        return
    canonical(value)
