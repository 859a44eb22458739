"""The disk of a guest as a power cut left it, made from a log of its writes.

Rule 1: what a flush ended is on the disk; of what came after, any part may be, in any order, and
the last write may be torn between two sectors of 512 bytes (virtio: what a device promises).
Rule 2: one disk file serves all cuts: it goes forward through the log, and what one cut put on it
beyond what is safe is taken back before the next.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from vedette_dev.device.block_log import BlockLog, Entry

SECTOR_BYTES = 512


class Cut(NamedTuple):
    """When the power goes, and what of the unsafe writes is on the disk.

    Attributes:
        after: how many entries of the log were asked for.
        kept: numbers of those entries that are not safe and are on the disk all the same.
        torn_at: bytes of the last of them that are; -1 for all.
    """

    after: int
    kept: tuple[int, ...]
    torn_at: int = -1


class CutDisk:
    """A disk that goes through a log.

    Args:
        disk: as it was when the recording began; it is changed.
        log: of the recording.

    Attributes:
        path: of the disk.
    """

    def __init__(self, disk: Path, log: BlockLog) -> None:
        self.path = disk
        self._descriptor = os.open(disk, os.O_RDWR | os.O_CLOEXEC)
        self._log = log
        self._next = 0
        self._unsafe: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def forward(self, after: int) -> tuple[int, ...]:
        """Go on until so many entries were asked for; never back.

        Returns:
            The numbers of those that are not safe by then.
        """
        if after < self._next:
            raise ValueError(f"expected at least {self._next} entries, got {after}")
        for number in range(self._next, after):
            self._take(number, self._log.entries[number])
        self._next = after
        return tuple(self._unsafe)

    @contextmanager
    def cut(self, cut: Cut) -> Iterator[None]:
        """The disk after this cut, while the context lasts."""
        self.forward(cut.after)
        before = [self._put(number, cut) for number in cut.kept]
        try:
            yield
        finally:
            for offset, data in reversed(before):
                os.pwrite(self._descriptor, data, offset)

    def read(self, offset: int, size: int) -> bytes:
        """What lies there now."""
        return os.pread(self._descriptor, size, offset)

    def _take(self, number: int, entry: Entry) -> None:
        if entry.is_flush:
            for unsafe in self._unsafe:
                self._write(self._log.entries[unsafe])
            self._unsafe.clear()
        if not entry.size or entry.is_discard:
            return  # a discard promises nothing of what is read afterwards, the old data included
        if not entry.is_fua:
            self._unsafe.append(number)
            return
        # What it overwrites must not come back with the next flush.
        for unsafe in [one for one in self._unsafe if self._overlap(one, entry)]:
            self._write(self._log.entries[unsafe])
            self._unsafe.remove(unsafe)
        self._write(entry)

    def _overlap(self, number: int, entry: Entry) -> bool:
        other = self._log.entries[number]
        return other.offset < entry.offset + entry.size and entry.offset < other.offset + other.size

    def _write(self, entry: Entry) -> None:
        os.pwrite(self._descriptor, self._log.data(entry), entry.offset)

    def _put(self, number: int, cut: Cut) -> tuple[int, bytes]:
        entry = self._log.entries[number]
        data = self._log.data(entry)
        if number == cut.kept[-1] and cut.torn_at >= 0:
            data = data[: cut.torn_at]
        before = self.read(entry.offset, len(data))
        os.pwrite(self._descriptor, data, entry.offset)
        return entry.offset, before


def choose(log: BlockLog, after: int, unsafe: tuple[int, ...], chance: random.Random) -> Cut:
    """A cut of what is not safe: nothing of it, all of it, or some, the last one torn."""
    way = chance.randrange(4)
    if way == 0 or not unsafe:
        return Cut(after, ())
    if way == 1:
        return Cut(after, unsafe)
    kept = tuple(number for number in unsafe if chance.random() < 0.5) or unsafe[-1:]  # noqa: PLR2004
    sectors = log.entries[kept[-1]].size // SECTOR_BYTES
    return Cut(after, kept, SECTOR_BYTES * chance.randrange(sectors + 1))
