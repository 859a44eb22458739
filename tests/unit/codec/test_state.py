"""The file of small values: whole, cut, altered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import state
from vedette.errors import ParseError

WHOLE = state.encode(7, {"rules.floor": 3, "rules.accepted": ("aa", "bb"), "name": "é"})
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES: st.SearchStrategy[state.Value] = (
    st.integers() | TEXT | st.lists(TEXT, max_size=4).map(tuple)
)


@given(st.integers(1, 2**63), st.dictionaries(TEXT, VALUES, max_size=6))
def test_what_is_encoded_is_decoded(counter: int, values: dict[str, state.Value]) -> None:
    assert state.decode(state.encode(counter, values)) == (counter, values)


def test_truncated_at_every_byte_and_with_a_tail() -> None:
    for size in range(len(WHOLE)):
        with pytest.raises(ParseError):
            state.decode(WHOLE[:size])
    with pytest.raises(ParseError):
        state.decode(WHOLE + b"\n")


def test_every_single_changed_byte_is_noticed() -> None:
    for position in range(len(WHOLE)):
        data = bytearray(WHOLE)
        data[position] ^= 0x20
        with pytest.raises(ParseError):
            state.decode(bytes(data))


@given(st.binary(max_size=200))
def test_any_bytes_give_values_or_a_parse_error(data: bytes) -> None:
    try:
        state.decode(data)
    except ParseError:
        return
