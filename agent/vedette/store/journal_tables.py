"""The tables of the journal's file: entries, the few values beside them, and the chain's hashes.

Rule 1: a row whose body was dropped keeps its leaf hash, and what is pruned leaves a signed
frontier: every later root can still be computed.
Rule 2: no transaction begins here and no error is explained: journal_file.py does both. ValueError
says that a table does not hold what we write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from zlib import crc32

from vedette.codec.merkle import HASH_BYTES, leaf_hash

ROW_OVERHEAD_BYTES = 96
"""Counted for each row beside its leaf: columns, record header, its share of inner pages."""

APPLICATION_ID = 0x56444A31  # "VDJ1"
SCHEMA = (
    (
        "CREATE TABLE entry(position INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, "
        "severity INTEGER NOT NULL, reserved INTEGER NOT NULL, delivered INTEGER NOT NULL, "
        "kind TEXT NOT NULL, hash BLOB, leaf BLOB) STRICT"
    ),
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
)


def create(db: sqlite3.Connection, epoch: int) -> None:
    """Make the tables of a new epoch in an empty file."""
    for statement in SCHEMA:
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    put(db, "epoch", b"%d" % epoch)


def epoch(db: sqlite3.Connection) -> int:
    """Of the whole file."""
    return int(get(db, "epoch", b""))


def delivered(db: sqlite3.Connection) -> int:
    """The highest delivery mark: a row's, or one that was written without a row."""
    marks = [int(get(db, "delivered", b"0"))]
    marks += db.execute("SELECT max(delivered) FROM entry").fetchone()
    return max(_unguarded(mark or 0) for mark in marks)


def note_delivered(db: sqlite3.Connection, mark: int) -> None:
    """Write a delivery mark without a row."""
    put(db, "delivered", b"%d" % guarded(mark))


def hashes(
    db: sqlite3.Connection, first: int
) -> Iterator[tuple[int, bytes, bytes | None, int, int, str]]:
    """Position, leaf hash, leaf unless it was dropped, sequence, severity and kind of each entry.

    Args:
        first: the position to begin with.
    """
    rows = db.execute(
        "SELECT position, hash, leaf, sequence, severity, kind FROM entry "
        "WHERE position >= ? ORDER BY position",
        (first,),
    )
    for position, digest, leaf, *columns in rows:
        if leaf is not None:
            yield position, leaf_hash(leaf), leaf, *columns
        elif digest is not None and len(digest) == HASH_BYTES:
            yield position, digest, None, *columns
        else:
            raise ValueError(f"entry {position} has neither body nor hash")


def get(db: sqlite3.Connection, name: str, default: bytes) -> bytes:
    """A value beside the entries."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return bytes(row[0]) if row else default


def put(db: sqlite3.Connection, name: str, value: bytes) -> None:
    """Write only what differs: a row that stays costs no page."""
    if get(db, name, b"") != value:
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def guarded(number: int) -> int:
    """A number with its checksum: the leaf hashes do not cover the delivery mark."""
    return number << 31 | crc32(b"%d" % number) >> 1


def _unguarded(value: int) -> int:
    number = value >> 31
    if value and guarded(number) != value:
        raise ValueError("the delivery mark was altered")
    return number
