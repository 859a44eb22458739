"""The disk of a guest as a power cut left it, made from a log of its writes.

Rule 1: what a flush ended is on the disk; of what came after, any part may be, in any order, and
the last write may be torn between two sectors of 512 bytes (virtio: what a device promises).
Rule 2: which of them are is the same for recorded cuts and for live ones (device/volatile_disk.py).
Rule 3: one disk file serves all cuts: it goes forward through the log, and what one cut put on it
beyond what is safe is taken back before the next.
"""

from __future__ import annotations

import os
import random
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from vedette_dev.device.block_log import BlockLog, Entry
from vedette_dev.images.layout import Partition

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

    def __str__(self) -> str:
        torn = f", the last one torn at {self.torn_at} bytes" if self.torn_at >= 0 else ""
        some = f"{self.kept[0]} to {self.kept[-1]}" if self.kept else "none"
        return f"cut after {self.after}, {len(self.kept)} unsafe kept ({some}{torn})"


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
        self._cut = Cut(0, ())

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
        self._cut = cut
        try:
            yield
        finally:
            self._cut = Cut(cut.after, ())
            for offset, data in reversed(before):
                os.pwrite(self._descriptor, data, offset)

    def read(self, offset: int, size: int) -> bytes:
        """What lies there now."""
        return os.pread(self._descriptor, size, offset)

    def written(self, part: Partition) -> Hashable:
        """What was written to a partition: equal only where its content is."""
        cut = self._cut
        safe = sum(1 for _ in self._touching(part, range(self._next)))
        kept = tuple(self._touching(part, cut.kept))
        return safe, tuple(self._touching(part, self._unsafe)), kept, cut.torn_at if kept else -1

    def _touching(self, part: Partition, numbers: Iterable[int]) -> Iterator[int]:
        return (number for number in numbers if touches(self._log.entries[number], part))

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
    kept, torn_at = survivors([log.entries[number].size for number in unsafe], chance)
    return Cut(after, tuple(unsafe[one] for one in kept), torn_at)


def survivors(sizes: Sequence[int], chance: random.Random) -> tuple[tuple[int, ...], int]:
    """Which of the writes that are not safe are on the disk after a cut.

    Args:
        sizes: of these writes, in their order.
        chance: decides.

    Returns:
        Their numbers, and at how many bytes the last of them is torn; -1 for not at all.
    """
    way = chance.randrange(4)
    every = tuple(range(len(sizes)))
    if way == 0 or not sizes:
        return (), -1
    if way == 1:
        return every, -1
    kept = tuple(one for one in every if chance.random() < 0.5) or every[-1:]  # noqa: PLR2004
    sectors = sizes[kept[-1]] // SECTOR_BYTES
    return kept, SECTOR_BYTES * chance.randrange(sectors + 1)


def touches(entry: Entry, part: Partition) -> bool:
    """Whether a request writes into a partition."""
    stop = part.start_bytes + part.size_bytes
    return bool(entry.size) and entry.offset < stop and part.start_bytes < entry.offset + entry.size
