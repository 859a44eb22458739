"""Slots as files: what may be opened as one, and what a read past the page cache gives."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from tests.simulators.images import image

from vedette.errors import StoreError
from vedette.store import slot_file
from vedette.store.slot_file import PIECE_BYTES, SlotFile, piece_buffer

CONTENT = image(1, PIECE_BYTES + 5000)


def test_what_was_written_and_synced_is_read_from_the_disk(tmp_path: Path) -> None:
    buffer = piece_buffer()
    with closing(SlotFile(tmp_path / "slot", len(CONTENT))) as slot:
        slot.write(memoryview(CONTENT), 0)
        slot.sync()
        assert slot.written_bytes == len(CONTENT)
        assert slot.read(buffer, 0, PIECE_BYTES) == PIECE_BYTES
        assert buffer == CONTENT[:PIECE_BYTES]
        assert slot.read(buffer, PIECE_BYTES, 5000) == 5000
        assert buffer[:5000] == CONTENT[PIECE_BYTES:]


@pytest.mark.parametrize("stored", [0, 1, 4095, 4096, 10_000])
def test_a_shorter_file_gives_what_it_has(tmp_path: Path, stored: int) -> None:
    (tmp_path / "slot").write_bytes(CONTENT[:stored])
    buffer = piece_buffer()
    with closing(SlotFile(tmp_path / "slot", len(CONTENT))) as slot:
        assert slot.read(buffer, 0, 10_001) == stored
        assert buffer[:stored] == CONTENT[:stored]


def test_where_there_are_no_direct_reads_the_cache_is_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECT:
            raise OSError(22, "Invalid argument")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    test_what_was_written_and_synced_is_read_from_the_disk(tmp_path)


def test_a_libc_without_write_behind_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_file, "_LIBC", object())
    monkeypatch.setattr(slot_file, "BEHIND_BYTES", 4096)
    test_what_was_written_and_synced_is_read_from_the_disk(tmp_path)


def test_a_folder_a_fifo_and_a_link_are_no_slots(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for name in ("folder", "fifo", "link"):
        with pytest.raises(StoreError, match=name):
            SlotFile(tmp_path / name, 4096)
    assert (tmp_path / "target").read_bytes() == b"precious"


def test_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened as a slot"):
        SlotFile(tmp_path / "none" / "slot", 4096)


def test_a_slot_to_read_is_never_made_or_cut(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        SlotFile(tmp_path / "slot", 4096, is_read_only=True)
    (tmp_path / "slot").write_bytes(CONTENT)
    SlotFile(tmp_path / "slot", 4096, is_read_only=True).close()
    assert (tmp_path / "slot").read_bytes() == CONTENT


def test_an_offset_above_four_gigabytes_is_one(tmp_path: Path) -> None:
    at = 2**32 + 4096
    buffer = piece_buffer()
    with closing(SlotFile(tmp_path / "slot", at + 4096)) as slot:
        slot.write(memoryview(b"x" * 4096), at)
        slot.sync()
        assert slot.read(buffer, at, 4096) == 4096
        assert buffer[:4096] == b"x" * 4096
        assert slot.read(buffer, 2**32 - PIECE_BYTES, PIECE_BYTES) == PIECE_BYTES
    assert (tmp_path / "slot").stat().st_size == at + 4096
