"""The leaf of an entry: one entry, one encoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import journal_entry as codec
from vedette.codec.merkle import Frontier, leaf_hash
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.journal import Entry, EntryDraft, Spent

ENTRY = Entry(
    EntryDraft(
        kind="incident",
        severity=Severity.HIGH,
        wall_s=1_790_000_000.25,
        body=b'{"a":1}',
        topic="up/finding",
        incident_id="0123456789abcdef",
        is_routine=False,
    ),
    epoch=2,
    index=41,
    sequence=1007,
    boot="0" * 32,
)
WHOLE = codec.encode(ENTRY)
TIP = codec.Tip(2, 42, 1007, 1000, leaf_hash(b""), Spent(123_456, 7200))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def test_the_documented_bytes() -> None:
    expected = b"vedette/journal-entry/v1"
    for field in (
        b"2", b"41", b"1007", b"0" * 32, b"incident", b"4", b"1790000000250000", b"up/finding",
        b"0123456789abcdef", b"", b'{"a":1}',
    ):  # fmt: skip
        expected += len(field).to_bytes(4, "big") + field
    assert expected == WHOLE


@given(
    st.builds(
        Entry,
        draft=st.builds(
            EntryDraft,
            kind=TEXT,
            severity=st.sampled_from(Severity),
            wall_s=st.integers(-(10**15), 4 * 10**15).map(lambda number: number / 1_000_000),
            body=st.binary(max_size=100),
            topic=TEXT,
            incident_id=TEXT,
            is_routine=st.booleans(),
        ),
        epoch=st.integers(0, 2**40),
        index=st.integers(0, 2**40),
        sequence=st.integers(0, 2**40),
        boot=TEXT,
    )
)
def test_what_is_encoded_is_decoded(entry: Entry) -> None:
    assert codec.decode(codec.encode(entry)) == entry


def test_truncated_at_every_byte_and_with_a_tail() -> None:
    for size in range(len(WHOLE)):
        with pytest.raises(ParseError):
            codec.decode(WHOLE[:size])
    with pytest.raises(ParseError):
        codec.decode(WHOLE + b"\x00")


def test_another_spelling_of_the_same_entry_is_refused() -> None:
    for wrong in (
        WHOLE.replace(b"\x00\x00\x00\x012", b"\x00\x00\x00\x0202", 1),
        WHOLE.replace(b"\x00\x00\x00\x012", b"\x00\x00\x00\x02+2", 1),
        WHOLE.replace(b"\x00\x00\x00\x012", b"\x00\x00\x00\x02-2", 1),
        WHOLE.replace(b"\x00\x00\x00\x014", b"\x00\x00\x00\x019", 1),
    ):
        assert wrong != WHOLE
        with pytest.raises(ParseError):
            codec.decode(wrong)


@given(st.binary(max_size=200), st.integers(0, len(WHOLE)))
def test_any_bytes_give_an_entry_or_a_parse_error(data: bytes, cut: int) -> None:
    for hostile in (data, codec.LEAF_MAGIC + data, WHOLE[:cut] + data):
        try:
            entry = codec.decode(hostile)
        except ParseError:
            continue
        assert codec.encode(entry) == hostile


def test_the_chain_is_recomputed_from_exported_leaves() -> None:
    leaves = [WHOLE, b"", b"x"]
    whole = Frontier().appended(leaf_hash(leaf) for leaf in leaves)
    assert codec.extend(codec.extend(Frontier(), leaves[:1]), leaves[1:]) == whole


def test_a_tip_is_read_back_and_nothing_else_is() -> None:
    data = codec.encode_tip(TIP)
    assert codec.decode_tip(data) == TIP
    for size in range(len(data)):
        with pytest.raises(ParseError):
            codec.decode_tip(data[:size])
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1
        with pytest.raises(ParseError):
            codec.decode_tip(bytes(flipped))
    with pytest.raises(ParseError):
        codec.decode_tip(data + b"\x00")
