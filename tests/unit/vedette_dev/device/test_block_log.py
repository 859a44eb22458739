"""A log of block writes is read as Linux and QEMU write it; bytes that are none are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from vedette.errors import ParseError
from vedette_dev.device.block_log import MAGIC, BlockLog

SECTOR = 512
FLUSH, FUA, DISCARD = 1, 2, 4


def written(path: Path, *entries: tuple[int, bytes, int], sectors: int = 0) -> Path:
    """A log with (sector, data, flags) each; a discard has `sectors` and no data."""
    made = struct.pack("<QQQI", MAGIC, 1, len(entries), SECTOR).ljust(SECTOR, b"\0")
    for first, data, flags in entries:
        count = sectors if flags & DISCARD else len(data) // SECTOR
        made += struct.pack("<QQQQ", first, count, flags, 0).ljust(SECTOR, b"\0") + data
    path.write_bytes(made)
    return path


def test_entries_have_their_place_and_their_data(tmp_path: Path) -> None:
    one, two = b"1" * SECTOR, b"2" * 3 * SECTOR
    path = written(tmp_path / "log", (7, one, 0), (0, b"", FLUSH), (9, two, FUA))
    with BlockLog(path) as log:
        first, flush, second = log.entries
        assert (first.offset, first.size, log.data(first)) == (7 * SECTOR, SECTOR, one)
        assert flush.is_flush
        assert flush.size == 0
        assert (second.is_fua, log.data(second)) == (True, two)


def test_a_discard_has_a_size_and_no_data(tmp_path: Path) -> None:
    path = written(tmp_path / "log", (4, b"", DISCARD), (9, b"x" * SECTOR, 0), sectors=8)
    with BlockLog(path) as log:
        discard, write = log.entries
        assert (discard.is_discard, discard.size) == (True, 8 * SECTOR)
        assert log.data(write) == b"x" * SECTOR


def test_logs_follow_each_other(tmp_path: Path) -> None:
    paths = [
        written(tmp_path / name, (number, name.encode() * SECTOR, 0))
        for number, name in enumerate("ab")
    ]
    with BlockLog(*paths) as log:
        assert [log.data(entry)[:1] for entry in log.entries] == [b"a", b"b"]
        assert log.count(1, SECTOR) == 1
        assert log.count(1, 3 * SECTOR) == 2
        assert log.count(0, SECTOR) == 0


def test_an_entry_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "log", (1, b"a" * SECTOR, 0), (2, b"b" * SECTOR, 0))
    path.write_bytes(path.read_bytes()[:-1])
    with BlockLog(path) as log:
        assert [entry.offset for entry in log.entries] == [SECTOR]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 600,
        struct.pack("<QQQI", MAGIC, 2, 0, SECTOR),
        struct.pack("<QQQI", MAGIC, 1, 0, 0),
    ],
    ids=["nothing", "something else", "another version", "no sectors"],
)
def test_what_is_no_log_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "log").write_bytes(data)
    with pytest.raises(ParseError, match="expected"):
        BlockLog(tmp_path / "log")


def test_unknown_flags_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "log", (1, b"a" * SECTOR, 64))
    with pytest.raises(ParseError, match="flags"):
        BlockLog(path)
