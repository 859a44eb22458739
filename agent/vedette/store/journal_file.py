"""The journal's SQLite file: one epoch, one connection, one thread.

Rule 1: WAL with full sync: what `write` returned from is on the disk. The file is locked for as
long as it is open, so that no reader can hold the writer up.
Rule 2: a row whose body was dropped keeps its leaf hash, and what is pruned leaves a signed
frontier: every later root can still be computed.
Rule 3: what is read is not believed: `read` decodes every leaf and recomputes the chain.
Rule 4: two errors leave this module: DamagedError, after which the file is set aside, and
StoreError, after which it is tried again.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from zlib import crc32

from vedette.codec import journal_entry, note
from vedette.codec.merkle import HASH_BYTES, Frontier, leaf_hash
from vedette.errors import ParseError, StoreError
from vedette.model.finding import Severity
from vedette.model.journal import Entry
from vedette.store.journal_pending import Pending

ROW_OVERHEAD_BYTES = 96
"""Counted for each row beside its leaf: columns, record header, its share of inner pages."""

KNOWN_INCIDENTS = 4096
"""Ids of recent incidents that are remembered, to tell the first entry of one."""

CHECK_SECONDS = 2.0
"""How long SQLite may check its own structure at start; our own reading follows in any case."""

_APPLICATION_ID = 0x56444A31  # "VDJ1"
_CACHE_KIB = 512
_PAGE_BYTES = 1024  # an entry of 800 bytes writes 8.7 KB in all, with pages of 4096 11.4 KB
_WAL_BYTES = 1 << 20  # then its pages move into the file
_FOLD_ROWS = 64
_SLACK_BYTES = 8 << 20
_SCHEMA = (
    (
        "CREATE TABLE entry(position INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, "
        "severity INTEGER NOT NULL, reserved INTEGER NOT NULL, delivered INTEGER NOT NULL, "
        "kind TEXT NOT NULL, hash BLOB, leaf BLOB) STRICT"
    ),
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
)
_BLOCKING = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_AUTH, sqlite3.SQLITE_INTERRUPT,
    }
)  # fmt: skip


class DamagedError(StoreError):
    """The file is not what we wrote."""


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


class JournalFile:
    """An open file.

    Args:
        path: made with mode 0600 if it is not there.
        limit_bytes: what leaves and their overhead may take.
        seal: makes the signed note over an epoch's frontier, the same at each call.

    Raises:
        DamagedError: something else lies there.
        StoreError: it cannot be opened.
    """

    def __init__(
        self, path: Path, *, limit_bytes: int, seal: Callable[[int, Frontier], bytes]
    ) -> None:
        self._path, self._limit, self._seal = path, limit_bytes, seal
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            path.chmod(0o600)
            self._inode = path.stat().st_ino, path.stat().st_dev
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened: {error.strerror}") from error
        with self._errors():
            self._db = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            with self._errors():
                self._configure()
        except StoreError:
            self.close()
            raise

    def create(self, epoch: int) -> None:
        """Make the tables of a new epoch in an empty file."""
        with self._transaction():
            for statement in _SCHEMA:
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self._set("epoch", b"%d" % epoch)

    def read(self, tip: journal_entry.Tip | None) -> Contents:
        """Check everything and tell what is there.

        Args:
            tip: how far the journal is known to have come.

        Raises:
            DamagedError: it is not what we wrote, or ends before the tip.
        """
        with self._errors():
            self._check_structure()
            return self._read(tip)

    def write(self, rows: Sequence[tuple[Entry, bytes, bool]], delivered: int, room: Room) -> Room:
        """Append entries and make room for them, in one transaction.

        Args:
            rows: entry, its leaf, and whether its space is reserved.
            delivered: the high-water mark to keep.
            room: as it is before.

        Returns:
            The space as it is after, with what was folded.
        """
        if not self.is_in_place():
            raise DamagedError(f"{self._path}: it was removed or replaced while it was in use")
        with self._transaction():
            self._db.executemany(
                "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, NULL, ?)",
                (
                    (entry.index, entry.sequence, int(entry.draft.severity), int(reserved),
                     _guarded(delivered), entry.draft.kind, leaf)
                    for entry, leaf, reserved in rows
                ),
            )  # fmt: skip
            if not rows:  # with rows the mark rides along: no page of its own
                self._set("delivered", b"%d" % _guarded(delivered))
            added = sum(len(leaf) + ROW_OVERHEAD_BYTES for _, leaf, _ in rows)
            return self._make_room(room._replace(bytes_used=room.bytes_used + added), delivered)

    def outbox(self, after: int, position: int, limit: int) -> list[Entry]:
        """Entries with a sequence above `after` from a position on, in order."""
        with self._errors():
            rows = self._db.execute(
                "SELECT leaf FROM entry WHERE position >= ? AND sequence > ? AND leaf IS NOT NULL "
                "ORDER BY position LIMIT ?",
                (position, after, limit),
            ).fetchall()
            return [journal_entry.decode(leaf) for (leaf,) in rows]

    def newest(self, kind: str, limit: int) -> list[Entry]:
        """The newest entries of a kind ("" for all), newest first."""
        with self._errors():
            rows = self._db.execute(
                "SELECT leaf FROM entry WHERE leaf IS NOT NULL AND (? = '' OR kind = ?) "
                "ORDER BY position DESC LIMIT ?",
                (kind, kind, limit),
            ).fetchall()
            return [journal_entry.decode(leaf) for (leaf,) in rows]

    def leaf_hashes(self, first: int) -> list[bytes]:
        """Leaf hashes from a position on, those of dropped bodies included."""
        with self._errors():
            return [row[1] for row in self._hashes(first)]

    def is_in_place(self) -> bool:
        """Whether the path still leads to the file that was opened."""
        with suppress(OSError):
            found = self._path.stat()
            return (found.st_ino, found.st_dev) == self._inode
        return False

    def close(self) -> None:
        """Close; the WAL is moved into the file first if the disk allows it."""
        with suppress(sqlite3.Error):
            self._db.close()

    def _configure(self) -> None:
        self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 4 * journal_entry.MAX_LEAF_BYTES)
        for pragma in (
            f"page_size = {_PAGE_BYTES}",
            "locking_mode = EXCLUSIVE",
            "trusted_schema = OFF",
            "cell_size_check = ON",
            "mmap_size = 0",
            "temp_store = MEMORY",
            f"cache_size = -{_CACHE_KIB}",
            "journal_mode = WAL",
            "synchronous = FULL",
            f"wal_autocheckpoint = {_WAL_BYTES // _PAGE_BYTES}",
            f"journal_size_limit = {2 * _WAL_BYTES}",
        ):
            self._db.execute(f"PRAGMA {pragma}")

    def _check_structure(self) -> None:
        found = self._db.execute("PRAGMA application_id").fetchone()[0]
        schema = self._db.execute(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
        if found != _APPLICATION_ID or tuple(sql for (sql,) in schema) != _SCHEMA:
            raise DamagedError(f"{self._path}: expected a journal of ours, found another file")
        pages, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
        if pages * size > 4 * self._limit + _SLACK_BYTES:
            raise DamagedError(f"{self._path}: expected about {self._limit} bytes, got far more")
        deadline = monotonic() + CHECK_SECONDS
        self._db.set_progress_handler(lambda: int(monotonic() > deadline), 10_000)
        try:
            verdict = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            verdict = "ok"
        finally:
            self._db.set_progress_handler(None, 0)
        if verdict != "ok":
            raise DamagedError(f"{self._path}: {str(verdict)[:200]}")

    def _read(self, tip: journal_entry.Tip | None) -> Contents:
        problems: list[str] = []
        epoch, delivered = self._epoch(), self._read_delivered()
        pruned = self._read_pruned(problems)
        frontier, pending, incidents = pruned, Pending(), deque[str](maxlen=KNOWN_INCIDENTS)
        newest = bytes_used = 0
        for position, digest, leaf, *columns in self._hashes(pruned.size):
            if position != frontier.size:
                raise DamagedError(f"{self._path}: expected entry {frontier.size}, got {position}")
            frontier = frontier.appended((digest,))
            bytes_used += len(leaf or b"") + ROW_OVERHEAD_BYTES
            if leaf is not None:
                entry = self._checked(leaf, columns, (epoch, position), newest)
                newest = max(newest, entry.sequence)
                if entry.sequence > delivered:
                    pending.add(entry.sequence, position)
                if entry.draft.incident_id:
                    incidents.append(entry.draft.incident_id)
            if tip is not None and (epoch, frontier.size) == tip[:2]:
                self._check_root(frontier, tip)
        if tip is not None and (epoch, frontier.size) < tip[:2]:
            raise DamagedError(
                f"{self._path}: expected epoch {tip.epoch} with {tip.size} entries, found epoch "
                f"{epoch} with {frontier.size}: its end is lost"
            )
        return Contents(
            epoch, pruned, frontier, newest, delivered, pending, bytes_used, incidents, problems
        )

    def _check_root(self, frontier: Frontier, tip: journal_entry.Tip) -> None:
        if frontier.root() != tip.root:
            raise DamagedError(
                f"{self._path}: expected root {tip.root.hex()[:16]} over {tip.size} entries, got "
                f"{frontier.root().hex()[:16]}: an entry was altered"
            )

    def _checked(
        self, leaf: bytes, columns: list[object], place: tuple[int, int], newest: int
    ) -> Entry:
        """A leaf whose columns say the same as it: they decide what is sent and kept."""
        entry = journal_entry.decode(leaf)
        said = [entry.sequence, int(entry.draft.severity), entry.draft.kind]
        if (entry.epoch, entry.index) != place or columns != said:
            raise DamagedError(f"{self._path}: entry {place[1]} and its columns differ")
        if entry.sequence and entry.sequence <= newest:
            raise DamagedError(f"{self._path}: entry {place[1]} repeats sequence {entry.sequence}")
        return entry

    def _hashes(self, first: int) -> Iterator[tuple[int, bytes, bytes | None, int, int, str]]:
        rows = self._db.execute(
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
                raise DamagedError(f"{self._path}: entry {position} has neither body nor hash")

    def _read_delivered(self) -> int:
        """The highest delivery mark: a row's, or one that was written without a row."""
        marks = [int(self._get("delivered", b"0"))]
        marks += self._db.execute("SELECT max(delivered) FROM entry").fetchone()
        return max(_unguarded(mark or 0) for mark in marks)

    def _read_pruned(self, problems: list[str]) -> Frontier:
        sealed = self._get("pruned", b"")
        if not sealed:
            return Frontier()
        checkpoint = note.parse_checkpoint(note.decode_note(sealed).text)
        frontier = note.parse_frontier(checkpoint)
        if self._seal(self._epoch(), frontier) != sealed:  # Ed25519 is deterministic
            problems.append(f"{self._path}: what was pruned is signed by another key than ours")
        return frontier

    def _make_room(self, room: Room, delivered: int) -> Room:
        """Rule: what was delivered goes first, then the lowest severity, reserved space last."""
        soft, slack = self._limit * 9 // 10, self._limit // 16
        if room.bytes_used <= soft:
            return room._replace(folded=[])
        used, pruned = self._prune(room, delivered, room.bytes_used - soft + slack)
        folded: list[Folded] = []
        for bound, reserved in ((soft, 0), (self._limit, 1)):
            if used > bound:
                used -= self._fold(reserved, delivered, used - bound + slack, folded)
        if folded:  # rows without a body may now be at the left edge
            used, pruned = self._prune(Room(used, pruned, []), delivered, 0)
        return Room(used, pruned, folded)

    def _prune(self, room: Room, delivered: int, wanted: int) -> tuple[int, Frontier]:
        edge = self._db.execute(
            "SELECT min(position) FROM entry WHERE sequence > ? AND leaf IS NOT NULL", (delivered,)
        ).fetchone()[0]
        hashes: list[bytes] = []
        freed = 0
        for position, digest, leaf, *_ in self._hashes(room.pruned.size):
            is_needed = freed >= wanted and leaf is not None
            if is_needed or (edge is not None and position >= edge):
                break
            hashes.append(digest)
            freed += len(leaf or b"") + ROW_OVERHEAD_BYTES
        if not hashes:
            return room.bytes_used, room.pruned
        pruned = room.pruned.appended(hashes)
        self._db.execute("DELETE FROM entry WHERE position < ?", (pruned.size,))
        self._set("pruned", self._seal(self._epoch(), pruned))
        return room.bytes_used - freed, pruned

    def _fold(self, reserved: int, delivered: int, wanted: int, folded: list[Folded]) -> int:
        """Drop bodies, lowest severity and oldest first; the hash stays, so the chain does."""
        freed = 0
        while freed < wanted:
            rows = self._db.execute(
                "SELECT position, sequence, severity, kind, leaf FROM entry WHERE leaf IS NOT NULL "
                "AND reserved = ? ORDER BY severity, position LIMIT ?",
                (reserved, _FOLD_ROWS),
            ).fetchall()
            if not rows:
                break
            for position, sequence, severity, kind, leaf in rows:
                if freed >= wanted:
                    break
                self._db.execute(
                    "UPDATE entry SET leaf = NULL, hash = ? WHERE position = ?",
                    (leaf_hash(leaf), position),
                )
                freed += len(leaf)
                if sequence > delivered:
                    folded.append(Folded(sequence, Severity(severity), kind))
        return freed

    def _epoch(self) -> int:
        return int(self._get("epoch", b""))

    def _get(self, name: str, default: bytes) -> bytes:
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else default

    def _set(self, name: str, value: bytes) -> None:
        """Write only what differs: a row that stays costs no page."""
        if self._get(name, b"") != value:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
            is_short = code == sqlite3.SQLITE_IOERR_SHORT_READ
            if code & 0xFF in _BLOCKING and not is_short:
                raise StoreError(f"{self._path}: {error}") from error
            raise DamagedError(f"{self._path}: {error}") from error
        except (ParseError, ValueError, TypeError, OverflowError) as error:
            raise DamagedError(f"{self._path}: {error}") from error


def _guarded(number: int) -> int:
    """A number with its checksum: the leaf hashes do not cover the delivery mark."""
    return number << 31 | crc32(b"%d" % number) >> 1


def _unguarded(value: int) -> int:
    number = value >> 31
    if value and _guarded(number) != value:
        raise ValueError("the delivery mark was altered")
    return number
