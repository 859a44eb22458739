"""Which blocks of an image a slot holds already, by the image's index.

Rule: the slot is read past the page cache and hashed by LANES threads, a bounded number of pieces
ahead of whoever takes the result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

from vedette.codec.block_index import BLOCK_BYTES, block_count, block_digests, differing
from vedette.ports.image_source import Run
from vedette.store.slot_file import PIECE_BYTES, SlotFile, piece_buffer

LANES = 2
AHEAD = 4
PIECE_BLOCKS = PIECE_BYTES // BLOCK_BYTES


class Index(Protocol):
    """The block index of an image, whose own digest was checked."""

    def part(self, first: int, count: int) -> bytes:
        """The digests of `count` blocks from block `first` on; fewer at the end of the image."""


class Part(NamedTuple):
    """A part of a run; `content` is what another slot has there, None where it has other bytes."""

    run: Run
    content: memoryview | None


def missing_runs(slot: SlotFile, index: Index) -> Iterator[Run]:
    """The parts of an image that a slot does not hold, in order, each within one piece.

    Raises:
        StoreError: the slot cannot be read.
    """
    buffers = [piece_buffer() for _ in range(AHEAD)]
    waiting: deque[Future[list[Run]]] = deque()
    with ThreadPoolExecutor(LANES, "compare") as lanes:
        for number, offset in enumerate(range(0, slot.size_bytes, PIECE_BYTES)):
            if len(waiting) == AHEAD:
                yield from waiting.popleft().result()
            buffer = buffers[number % AHEAD]
            waiting.append(lanes.submit(_missing_in_piece, slot, index, offset, buffer))
        while waiting:
            yield from waiting.popleft().result()


def parts_of(run: Run, other: SlotFile, index: Index, buffer: memoryview) -> Iterator[Part]:
    """Divide a run by whether another slot has the image's bytes at the same place.

    Args:
        run: within one piece.
        other: it may be written by others meanwhile: what is handed out was hashed as it is there.
        buffer: of a piece; parts point into it until the next one is asked for.
    """
    length = min(run.length, max(0, other.size_bytes - run.offset))
    count = other.read(buffer, run.offset, length) if length else 0
    wanted = _part(index, run)
    found = block_digests(buffer[:count]).ljust(len(wanted), b"\0")
    others = set(differing(found, wanted))
    for lacking, first, number in _stretches(block_count(run.length), others):
        start = first * BLOCK_BYTES
        size = min(number * BLOCK_BYTES, run.length - start)
        content = None if lacking else buffer[start : start + size]
        yield Part(Run(run.offset + start, size), content)


def check_blocks(piece: memoryview, index: Index, offset: int) -> int:
    """Compare what was fetched with the index.

    Returns:
        The offset of the first wrong block, -1 where all are right.
    """
    wanted = index.part(offset // BLOCK_BYTES, block_count(len(piece)))
    for number in differing(block_digests(piece), wanted):
        return offset + number * BLOCK_BYTES
    return -1


def _missing_in_piece(slot: SlotFile, index: Index, offset: int, buffer: memoryview) -> list[Run]:
    size = min(PIECE_BYTES, slot.size_bytes - offset)
    count = slot.read(buffer, offset, size)
    wanted = index.part(offset // BLOCK_BYTES, block_count(size))
    found = block_digests(buffer[:count]).ljust(len(wanted), b"\0")
    if found == wanted:
        return []
    runs = []
    for lacking, first, number in _stretches(block_count(size), set(differing(found, wanted))):
        if lacking:
            start = first * BLOCK_BYTES
            runs.append(Run(offset + start, min(number * BLOCK_BYTES, size - start)))
    return runs


def _part(index: Index, run: Run) -> bytes:
    return index.part(run.offset // BLOCK_BYTES, block_count(run.length))


def _stretches(count: int, lacking: set[int]) -> Iterator[tuple[bool, int, int]]:
    """Blocks 0 to count as (is lacking, first, number) of neighbours that are alike."""
    first = 0
    for number in range(1, count + 1):
        if number == count or (number in lacking) != (first in lacking):
            yield first in lacking, first, number - first
            first = number
