from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.compact import Reader
from vedette.codec.condition import MAX_NODES, ConditionReader, pack
from vedette.errors import ParseError
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not

MATCHES = st.builds(
    Match,
    st.sampled_from(("", "Image", "a1")),
    st.sampled_from(("equals", "contains", "re", "equals_field", "null")),
    st.text(max_size=8),
    st.booleans(),
    st.sampled_from(("", "gate")),
)


def flat(parts: list[Condition]) -> AnyOf:
    """Alternatives as the compiler writes them: none of them alternatives again."""
    kept: list[Condition] = []
    for part in parts:
        kept += part.parts if isinstance(part, AnyOf) else (part,)
    return AnyOf(tuple(kept))


CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    MATCHES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda parts: AllOf(tuple(parts)), st.lists(inner, min_size=1, max_size=4)),
        st.builds(flat, st.lists(inner, min_size=2, max_size=4)),
    ),
    max_leaves=12,
)


def read(data: bytes) -> Condition:
    return ConditionReader(Reader(data)).condition()


@given(CONDITIONS)
def test_what_was_written_is_read(condition: Condition) -> None:
    assert read(msgpack.packb(pack(condition))) == condition


@given(CONDITIONS, st.data())
def test_what_is_cut_is_refused(condition: Condition, data: st.DataObject) -> None:
    whole = msgpack.packb(pack(condition))
    size = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ParseError):
        read(whole[:size])


def test_equal_texts_and_comparisons_are_one_object() -> None:
    one = ["contains", "Image", False, "", "x"]
    found = read(msgpack.packb(["and", one, ["not", one]]))
    assert isinstance(found, AllOf)
    first, second = found.parts
    assert isinstance(second, Not)
    assert first is second.part


def test_a_condition_has_an_end() -> None:
    wide = ["or", *[["contains", "Image", False, "", *["x"] * 100]] * (MAX_NODES // 100)]
    with pytest.raises(ParseError, match=f"1 to {MAX_NODES} parts"):
        read(msgpack.packb(wide))


def offset_of_complaint(data: bytes) -> int:
    try:
        assert pack(read(data))
    except ParseError as error:
        return error.offset
    return 0


@given(st.binary(max_size=100))
def test_any_bytes_give_a_condition_or_a_parse_error(data: bytes) -> None:
    assert 0 <= offset_of_complaint(data) <= len(data)
