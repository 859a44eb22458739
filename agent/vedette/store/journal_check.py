"""Whether a journal's file is what we wrote: its structure, each leaf, and the chain of all.

Rule: what is read is not believed: every leaf is decoded, its columns are held against it, and the
chain is computed anew up to what is known of it.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from time import monotonic
from typing import NamedTuple

from vedette.codec import journal_entry, note
from vedette.codec.merkle import Frontier
from vedette.model.journal import Entry
from vedette.store import journal_tables
from vedette.store.journal_backlog import KNOWN_INCIDENTS
from vedette.store.journal_pending import Pending
from vedette.store.journal_room import Seal
from vedette.store.journal_tables import APPLICATION_ID, ROW_OVERHEAD_BYTES, SCHEMA

CHECK_SECONDS = 2.0
"""How long SQLite may check its own structure at start; our own reading follows in any case."""

_SLACK_BYTES = 8 << 20


class Contents(NamedTuple):
    """What `read` found, every leaf of it checked."""

    epoch: int
    pruned: Frontier
    frontier: Frontier
    newest_sequence: int
    delivered: int
    pending: Pending
    bytes_used: int
    incidents: deque[str]
    problems: list[str]


def check_structure(db: sqlite3.Connection, limit_bytes: int) -> None:
    """Refuse another file than ours, one far too large, and one that SQLite finds broken.

    Raises:
        ValueError: it is one.
    """
    found = db.execute("PRAGMA application_id").fetchone()[0]
    schema = db.execute(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
    ).fetchall()
    if found != APPLICATION_ID or tuple(sql for (sql,) in schema) != SCHEMA:
        raise ValueError("expected a journal of ours, found another file")
    pages, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
    )
    if pages * size > 4 * limit_bytes + _SLACK_BYTES:
        raise ValueError(f"expected about {limit_bytes} bytes, got far more")
    deadline = monotonic() + CHECK_SECONDS
    db.set_progress_handler(lambda: int(monotonic() > deadline), 10_000)
    try:
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        verdict = "ok"
    finally:
        db.set_progress_handler(None, 0)
    if verdict != "ok":
        raise ValueError(str(verdict)[:200])


def read(db: sqlite3.Connection, tip: journal_entry.Tip | None, seal: Seal) -> Contents:
    """Check every entry and the chain of all.

    Args:
        tip: how far the journal is known to have come.
        seal: makes the signed note over an epoch's frontier, the same at each call.

    Raises:
        ValueError: it is not what we wrote, or ends before the tip.
        ParseError: as above.
    """
    problems: list[str] = []
    epoch, delivered = journal_tables.epoch(db), journal_tables.delivered(db)
    pruned = _read_pruned(db, problems, seal)
    frontier, pending, incidents = pruned, Pending(), deque[str](maxlen=KNOWN_INCIDENTS)
    newest = bytes_used = 0
    for position, digest, leaf, *columns in journal_tables.hashes(db, pruned.size):
        if position != frontier.size:
            raise ValueError(f"expected entry {frontier.size}, got {position}")
        frontier = frontier.appended((digest,))
        bytes_used += len(leaf or b"") + ROW_OVERHEAD_BYTES
        if leaf is not None:
            entry = _checked(leaf, columns, (epoch, position), newest)
            newest = max(newest, entry.sequence)
            if entry.sequence > delivered:
                pending.add(entry.sequence, position)
            if entry.draft.incident_id:
                incidents.append(entry.draft.incident_id)
        if tip is not None and (epoch, frontier.size) == tip[:2]:
            _check_root(frontier, tip)
    if tip is not None and (epoch, frontier.size) < tip[:2]:
        raise ValueError(
            f"expected epoch {tip.epoch} with {tip.size} entries, found epoch "
            f"{epoch} with {frontier.size}: its end is lost"
        )
    return Contents(
        epoch, pruned, frontier, newest, delivered, pending, bytes_used, incidents, problems
    )


def _check_root(frontier: Frontier, tip: journal_entry.Tip) -> None:
    if frontier.root() != tip.root:
        raise ValueError(
            f"expected root {tip.root.hex()[:16]} over {tip.size} entries, got "
            f"{frontier.root().hex()[:16]}: an entry was altered"
        )


def _checked(leaf: bytes, columns: list[object], place: tuple[int, int], newest: int) -> Entry:
    """A leaf whose columns say the same as it: they decide what is sent and kept."""
    entry = journal_entry.decode(leaf)
    said = [entry.sequence, int(entry.draft.severity), entry.draft.kind]
    if (entry.epoch, entry.index) != place or columns != said:
        raise ValueError(f"entry {place[1]} and its columns differ")
    if entry.sequence and entry.sequence <= newest:
        raise ValueError(f"entry {place[1]} repeats sequence {entry.sequence}")
    return entry


def _read_pruned(db: sqlite3.Connection, problems: list[str], seal: Seal) -> Frontier:
    sealed = journal_tables.get(db, "pruned", b"")
    if not sealed:
        return Frontier()
    checkpoint = note.parse_checkpoint(note.decode_note(sealed).text)
    frontier = note.parse_frontier(checkpoint)
    if seal(journal_tables.epoch(db), frontier) != sealed:  # Ed25519 is deterministic
        problems.append("what was pruned is signed by another key than ours")
    return frontier
