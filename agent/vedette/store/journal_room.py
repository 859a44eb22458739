"""Room in the journal's file: what goes when it is full, and in which order.

Rule: what was delivered goes first, then the lowest severity, reserved space last. A body that goes
is counted and its hash stays, so the chain does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from vedette.codec.merkle import Frontier, leaf_hash
from vedette.model.finding import Severity
from vedette.store import journal_tables
from vedette.store.journal_tables import ROW_OVERHEAD_BYTES

Seal = Callable[[int, Frontier], bytes]

_FOLD_ROWS = 64


class Folded(NamedTuple):
    """An undelivered row whose body was dropped to make room."""

    sequence: int
    severity: Severity
    kind: str


class Room(NamedTuple):
    """What making room cost."""

    bytes_used: int
    pruned: Frontier
    folded: list[Folded]


def make(db: sqlite3.Connection, room: Room, delivered: int, limit_bytes: int, seal: Seal) -> Room:
    """Drop what has to go, within the caller's transaction.

    Args:
        room: as it is before.
        delivered: the high-water mark of delivery.
        limit_bytes: what leaves and their overhead may take.
        seal: makes the signed note over an epoch's frontier.

    Returns:
        The space as it is after, with what was folded.
    """
    soft, slack = limit_bytes * 9 // 10, limit_bytes // 16
    if room.bytes_used <= soft:
        return room._replace(folded=[])
    used, pruned = _prune(db, room, delivered, room.bytes_used - soft + slack, seal)
    folded: list[Folded] = []
    for bound, reserved in ((soft, 0), (limit_bytes, 1)):
        if used > bound:
            used -= _fold(db, reserved, delivered, used - bound + slack, folded)
    if folded:  # rows without a body may now be at the left edge
        used, pruned = _prune(db, Room(used, pruned, []), delivered, 0, seal)
    return Room(used, pruned, folded)


def _prune(
    db: sqlite3.Connection, room: Room, delivered: int, wanted: int, seal: Seal
) -> tuple[int, Frontier]:
    edge = db.execute(
        "SELECT min(position) FROM entry WHERE sequence > ? AND leaf IS NOT NULL", (delivered,)
    ).fetchone()[0]
    hashes: list[bytes] = []
    freed = 0
    for position, digest, leaf, *_ in journal_tables.hashes(db, room.pruned.size):
        is_needed = freed >= wanted and leaf is not None
        if is_needed or (edge is not None and position >= edge):
            break
        hashes.append(digest)
        freed += len(leaf or b"") + ROW_OVERHEAD_BYTES
    if not hashes:
        return room.bytes_used, room.pruned
    pruned = room.pruned.appended(hashes)
    db.execute("DELETE FROM entry WHERE position < ?", (pruned.size,))
    journal_tables.put(db, "pruned", seal(journal_tables.epoch(db), pruned))
    return room.bytes_used - freed, pruned


def _fold(
    db: sqlite3.Connection, reserved: int, delivered: int, wanted: int, folded: list[Folded]
) -> int:
    """Drop bodies, lowest severity and oldest first; the hash stays, so the chain does."""
    freed = 0
    while freed < wanted:
        rows = db.execute(
            "SELECT position, sequence, severity, kind, leaf FROM entry WHERE leaf IS NOT NULL "
            "AND reserved = ? ORDER BY severity, position LIMIT ?",
            (reserved, _FOLD_ROWS),
        ).fetchall()
        if not rows:
            break
        for position, sequence, severity, kind, leaf in rows:
            if freed >= wanted:
                break
            db.execute(
                "UPDATE entry SET leaf = NULL, hash = ? WHERE position = ?",
                (leaf_hash(leaf), position),
            )
            freed += len(leaf)
            if sequence > delivered:
                folded.append(Folded(sequence, Severity(severity), kind))
    return freed
