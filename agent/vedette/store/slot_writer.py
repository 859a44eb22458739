"""Brings an image into a slot: hashed while it is written, and read back from the disk.

Rule 1: reading, hashing and writing go on side by side, in bounded memory (store/piece_ring.py).
Rule 2: with a signed index no block is written that the slot already holds, and none whose digest
is not the index's: an install that was cut goes on where it was, and a similar image costs what
differs. Without an index the image is written from a mark on, and judged as a whole.
Rule 3: nothing is believed because it was written: `read_back` hashes what the disk has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from vedette.codec.block_index import BLOCK_BYTES
from vedette.errors import FetchError, StoreError, TrustError
from vedette.ports.image_source import MAX_RUNS, ImageSource, Reader, Run
from vedette.store.piece_ring import PieceRing
from vedette.store.slot_compare import PIECE_BLOCKS, Index, check_blocks, missing_runs, parts_of
from vedette.store.slot_file import PIECE_BYTES, SlotFile, piece_buffer

MARK_BYTES = 256 << 20
"""Without an index: after so many bytes the slot is synced and the mark moves on."""

_HASH, _DISK = 0, 1

Mark = Callable[[int], None]


class WriteReport(NamedTuple):
    """What one run did, in bytes.

    Attributes:
        compared: read from the slot to see what it holds already.
        copied: taken from the other slot instead of being fetched.
        fetched: taken from the source.
        written: handed to the disk.
    """

    compared: int
    copied: int
    fetched: int
    written: int


def write_whole(
    slot: SlotFile, source: ImageSource, *, sha256: str, start: int, mark: Mark
) -> WriteReport:
    """Write an image that has no index.

    Args:
        slot: to be filled; synced when this returns.
        source: of the image.
        sha256: of the image in hex, as it was signed.
        start: an earlier mark: what lies before it is hashed from the slot and not fetched.
        mark: told, after the slot was synced, up to where it need not be written again.

    Raises:
        TrustError: the image is another than the signed one.
        StoreError: the disk does not take it, or lost what was marked.
        FetchError: the source broke off; what is marked is kept.
    """
    digest = hashlib.sha256()
    size = slot.size_bytes
    with PieceRing(lanes=2) as ring:
        _hash_slot(slot, ring, digest.update, start)
        reader = source.read([Run(start, size - start)])
        marked = start
        for offset in range(start, size, PIECE_BYTES):
            if offset - marked >= MARK_BYTES:
                ring.drain()
                slot.sync()
                mark(offset)
                marked = offset
            piece = ring.take()[: min(PIECE_BYTES, size - offset)]
            _fill(piece, reader, offset)
            ring.give(_HASH, digest.update, piece)
            ring.give(_DISK, slot.write, piece, offset)
        ring.drain()
    if start and digest.hexdigest() != sha256:
        raise StoreError(
            f"{slot.path}: expected the image up to byte {start}, as it was marked, or another "
            "rest; the next attempt begins anew"
        )
    _expect(digest.hexdigest(), sha256)
    slot.sync()
    return WriteReport(start, 0, size - start, slot.written_bytes)


def write_missing(
    slot: SlotFile, source: ImageSource, index: Index, other: SlotFile | None
) -> WriteReport:
    """Write the blocks of an image that the slot does not hold yet.

    Args:
        slot: to be filled; synced when this returns.
        source: of the image.
        index: of the image; its digest was signed and checked.
        other: the slot that runs: what it holds at the same place is copied, not fetched.

    Raises:
        TrustError: a block is another than the signed one; nothing of it was written.
        FetchError: the source broke off; what was written need not be written again.
        StoreError: the disk does not take it.
    """
    spare = piece_buffer()
    copied = fetched = 0
    wanted: list[Run] = []
    with PieceRing(lanes=1) as ring:
        for run in missing_runs(slot, index):
            for part in parts_of(run, other, index, spare) if other else ((run, None),):
                if part[1] is None:
                    wanted.append(part[0])
                    fetched += part[0].length
                else:
                    slot.write(part[1], part[0].offset)
                    copied += part[0].length
            if len(wanted) + PIECE_BLOCKS > MAX_RUNS:
                _fetch(slot, source, index, wanted, ring)
                wanted.clear()
        if wanted:
            _fetch(slot, source, index, wanted, ring)
    slot.sync()
    return WriteReport(slot.size_bytes, copied, fetched, slot.written_bytes)


def read_back(slot: SlotFile, sha256: str) -> None:
    """Hash what the disk holds.

    Raises:
        StoreError: it cannot be read, or is not what was written: the image that was signed.
    """
    digest = hashlib.sha256()
    with PieceRing(lanes=1) as ring:
        _hash_slot(slot, ring, digest.update, slot.size_bytes)
    if digest.hexdigest() != sha256:
        raise StoreError(
            f"{slot.path}: expected SHA-256 {sha256}, what is read back from the disk has "
            f"{digest.hexdigest()}; the slot is not used"
        )


def _hash_slot(
    slot: SlotFile, ring: PieceRing, update: Callable[[memoryview], object], end: int
) -> None:
    for offset in range(0, end, PIECE_BYTES):
        piece = ring.take()
        length = min(PIECE_BYTES, end - offset)
        count = slot.read(piece, offset, length)
        if count < length:
            raise StoreError(
                f"{slot.path}: expected {end} bytes of the image, it ends after {offset + count}"
            )
        ring.give(_HASH, update, piece[:count])
    ring.drain()


def _fetch(
    slot: SlotFile, source: ImageSource, index: Index, wanted: list[Run], ring: PieceRing
) -> None:
    reader = source.read(tuple(wanted))
    for run in wanted:
        piece = ring.take()[: run.length]
        _fill(piece, reader, run.offset)
        ring.give(0, _write_checked, slot, piece, index, run.offset)
    ring.drain()


def _write_checked(slot: SlotFile, piece: memoryview, index: Index, offset: int) -> None:
    wrong = check_blocks(piece, index, offset)
    if wrong >= 0:
        raise TrustError(
            f"expected block {wrong // BLOCK_BYTES} of the image as its signed index has it, the "
            f"source sent other bytes (at {wrong}); nothing of that piece was written"
        )
    slot.write(piece, offset)


def _fill(piece: memoryview, reader: Reader, offset: int) -> None:
    filled = 0
    while filled < len(piece):
        count = reader.readinto(piece[filled:])
        if not count:
            raise FetchError(
                f"expected {len(piece) - filled} more bytes of the image at {offset + filled}, its "
                "source ended; the next attempt goes on from what is written"
            )
        filled += count


def _expect(found: str, signed: str) -> None:
    if found != signed:
        raise TrustError(
            f"expected an image with SHA-256 {signed}, what was fetched has {found}; the slot is "
            "not used"
        )
