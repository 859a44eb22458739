from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.envelope import Purpose, purposes_of, signed_bytes

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
PARTS = st.tuples(
    st.sampled_from(Purpose),
    WORDS,
    WORDS,
    WORDS,
    st.integers(0, 2**63 - 1),
    WORDS,
    WORDS,
    st.lists(st.tuples(WORDS, WORDS), max_size=2).map(lambda pairs: tuple(sorted(pairs))),
    st.binary(max_size=8),
)


def test_the_bytes_are_these() -> None:
    found = signed_bytes(
        Purpose.STATE, "t", "d", "b", 258, "state", "x", (("z", "1"), ("a", "2")), b"body"
    )
    assert found == (
        b"\x00\x00\x00\x10vedette/v1/state"
        b"\x00\x00\x00\x01t\x00\x00\x00\x01d\x00\x00\x00\x01b"
        b"\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x01\x02"
        b"\x00\x00\x00\x05state\x00\x00\x00\x01x"
        b"\x00\x00\x00\x04\x00\x00\x00\x02"
        b"\x00\x00\x00\x01a\x00\x00\x00\x012\x00\x00\x00\x01z\x00\x00\x00\x011"
        b"\x00\x00\x00\x04body"
    )


@given(PARTS, PARTS)
def test_two_publications_never_give_the_same_bytes(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]
    assert (signed_bytes(*one) == signed_bytes(*other)) == (one == other)


def test_moving_a_letter_over_a_border_changes_the_bytes() -> None:
    shifted = [("ab", "c", "d"), ("a", "bc", "d"), ("a", "b", "cd"), ("abc", "", "d")]
    found = {signed_bytes(Purpose.WILL, *names, 1, "s", "c", (), b"") for names in shifted}
    assert len(found) == len(shifted)


@pytest.mark.parametrize("sequence", [-1, 2**63])
def test_a_sequence_out_of_range_is_refused(sequence: int) -> None:
    with pytest.raises(ValueError, match="expected a sequence"):
        signed_bytes(Purpose.WILL, "t", "d", "b", sequence, "s", "c", (), b"")


def test_no_purpose_travels_under_two_meanings() -> None:
    suffixes = ("up/finding", "up/update", "up/receipt", "up/evidence", "up/posture", "birth")
    for one, other in itertools.combinations(suffixes, 2):
        assert not set(purposes_of(one)) & set(purposes_of(other))
    assert purposes_of("state") == (Purpose.STATE, Purpose.WILL)
    assert purposes_of("up/unknown") == ()
