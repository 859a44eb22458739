"""The journal's SQLite file: one epoch, one connection, one thread.

Rule 1: WAL with full sync: what `write` returned from is on the disk. The file is locked for as
long as it is open, so that no reader can hold the writer up.
Rule 2: what is read is not believed: `read` decodes every leaf and recomputes the chain.
Rule 3: two errors leave this module: DamagedError, after which the file is set aside, and
StoreError, after which it is tried again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from vedette.codec import journal_entry
from vedette.codec.merkle import Frontier
from vedette.errors import ParseError, StoreError
from vedette.model.journal import Entry
from vedette.store import journal_check, journal_room, journal_tables
from vedette.store.journal_check import Contents
from vedette.store.journal_room import Room
from vedette.store.journal_tables import ROW_OVERHEAD_BYTES

_CACHE_KIB = 512
_PAGE_BYTES = 1024  # an entry of 800 bytes writes 8.7 KB in all, with pages of 4096 11.4 KB
_WAL_BYTES = 1 << 20  # then its pages move into the file
_BLOCKING = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_AUTH, sqlite3.SQLITE_INTERRUPT,
    }
)  # fmt: skip


class DamagedError(StoreError):
    """The file is not what we wrote."""


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
            journal_tables.create(self._db, epoch)

    def read(self, tip: journal_entry.Tip | None) -> Contents:
        """Check everything and tell what is there.

        Args:
            tip: how far the journal is known to have come.

        Raises:
            DamagedError: it is not what we wrote, or ends before the tip.
        """
        with self._errors():
            journal_check.check_structure(self._db, self._limit)
            contents = journal_check.read(self._db, tip, self._seal)
        problems = [f"{self._path}: {problem}" for problem in contents.problems]
        return contents._replace(problems=problems)

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
                     journal_tables.guarded(delivered), entry.draft.kind, leaf)
                    for entry, leaf, reserved in rows
                ),
            )  # fmt: skip
            if not rows:  # with rows the mark rides along: no page of its own
                journal_tables.note_delivered(self._db, delivered)
            added = sum(len(leaf) + ROW_OVERHEAD_BYTES for _, leaf, _ in rows)
            grown = room._replace(bytes_used=room.bytes_used + added)
            return journal_room.make(self._db, grown, delivered, self._limit, self._seal)

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
            return [row[1] for row in journal_tables.hashes(self._db, first)]

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
