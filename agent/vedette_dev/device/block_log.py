"""Reads logs of block writes, as QEMU's blklogwrites (and Linux's dm-log-writes) records it.

Rule 1: what the guest asked for is all there is in it, in its order; a flush ends what came before.
Rule 2: data stay in the file; an entry says where they are.
Format: Linux, drivers/md/dm-log-writes.c ("struct log_write_super", "struct log_write_entry").
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from vedette.errors import ParseError

MAGIC = 0x6A73_6677_7368_72
VERSION = 1
_FLUSH, _FUA, _DISCARD, _MARK = 1, 2, 4, 8
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
_MAX_SECTOR_BYTES = 1 << 16


class Entry(NamedTuple):
    """One request of the guest.

    Attributes:
        offset: in the disk, in bytes.
        size: in bytes; 0 for a flush alone.
        log: in which of the logs, from 0.
        at: where its data lie in it.
        is_flush: all that came before is safe once it is done.
        is_fua: it is safe itself once it is done.
        is_discard: it has no data: what lay there may be anything.
    """

    offset: int
    size: int
    log: int
    at: int
    is_flush: bool
    is_fua: bool
    is_discard: bool


class BlockLog:
    """Logs that are not written any more, one after the other; a context manager.

    Attributes:
        entries: in the guest's order; one that was cut short at the end of a log is left out.
    """

    def __init__(self, *paths: Path) -> None:
        """Read all entries, not their data.

        Args:
            paths: one for each start of the device: its disk had power in between.

        Raises:
            ParseError: one of them is no such log.
        """
        with contextlib.ExitStack() as opened:
            self._streams = [opened.enter_context(path.open("rb")) for path in paths]
            self.entries = tuple(
                entry for number, path in enumerate(paths) for entry in self._read(path, number)
            )
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def data(self, entry: Entry) -> bytes:
        """What an entry wrote."""
        return os.pread(self._streams[entry.log].fileno(), entry.size, entry.at)

    def count(self, log: int, size_bytes: int) -> int:
        """How many entries there were when this log had this size."""
        return sum(
            entry.log < log or (entry.log == log and _end(entry) <= size_bytes)
            for entry in self.entries
        )

    def _read(self, path: Path, number: int) -> Iterator[Entry]:
        descriptor = self._streams[number].fileno()
        size = os.fstat(descriptor).st_size
        head = os.pread(descriptor, _SUPER.size, 0)
        if len(head) < _SUPER.size:
            raise ParseError(f"{path}: expected a log of block writes, got {len(head)} bytes")
        magic, version, _, sector = _SUPER.unpack(head)
        if (magic, version) != (MAGIC, VERSION) or not 0 < sector <= _MAX_SECTOR_BYTES:
            raise ParseError(
                f"{path}: expected the magic {MAGIC:#x}, version {VERSION} and sectors of at most "
                f"{_MAX_SECTOR_BYTES} bytes, got {magic:#x}, {version} and {sector}"
            )
        # The count in the head may be older than a kill of QEMU: the end of the file decides.
        at = sector
        while at + sector <= size:
            entry = _entry(descriptor, number, at, sector)
            at = _end(entry)
            if at > size:
                return
            yield entry


def _entry(descriptor: int, log: int, at: int, sector: int) -> Entry:
    first, count, flags, _ = _ENTRY.unpack(os.pread(descriptor, _ENTRY.size, at))
    if flags & ~(_FLUSH | _FUA | _DISCARD | _MARK):
        raise ParseError(f"log of block writes: expected flags at {at}, got {flags:#x}")
    return Entry(
        first * sector,
        count * sector,
        log,
        at + sector,
        is_flush=bool(flags & _FLUSH),
        is_fua=bool(flags & _FUA),
        is_discard=bool(flags & _DISCARD),
    )


def _end(entry: Entry) -> int:
    return entry.at + (0 if entry.is_discard else entry.size)
