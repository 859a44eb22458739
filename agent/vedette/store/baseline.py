"""The hash baseline in SQLite: `baseline.db` in the state folder, written by the sentinel alone.

Rule 1: only StoreError leaves; a damaged file is set aside and told, never repaired by guessing:
the next scan is then trusted on first use again, and whoever reads the report decides.
Rule 2: rows are ordered by path component (a slash sorts before any other byte), the order in which
a scan walks: so expected and found are compared in one pass, in bounded memory.
Rule 3: `replace` is one transaction: a power cut leaves the old baseline or the new one.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from vedette.codec.scan_stream import KINDS, expected_bytes
from vedette.errors import StoreError
from vedette.model.baseline import FileRecord
from vedette.ports.baseline import BASELINE_FILE, Baseline

SCHEMA_VERSION: Final = 1
PAGE_ROWS: Final = 128
CACHE_KIB: Final = 256  # SQLite's own default of 2 MB is a twentieth of our memory
BUSY_TIMEOUT_S: Final = 10.0
WAL_BYTES_KEPT: Final = 1 << 20  # a first scan writes all rows to it once

Row: TypeAlias = tuple[bytes, int, int, int, int, int, int, int, int, bytes, bytes]
_TYPES: Final = (bytes, int, int, int, int, int, int, int, int, bytes, bytes)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, kind INTEGER, mode INTEGER, uid INTEGER, gid INTEGER, size INTEGER,
    inode INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, digest BLOB, capabilities BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""
_PUT = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ACCEPTED = "INSERT OR REPLACE INTO facts VALUES ('accepted', 'yes')"
_TABLES = "SELECT CAST(name AS BLOB), CAST(sql AS BLOB) FROM sqlite_master ORDER BY name"
_PAGE = "SELECT * FROM files WHERE path > ? AND path < ? ORDER BY path LIMIT ?"


class SqliteBaseline(Baseline):
    """One baseline file; call `open` first, from any thread.

    Args:
        state_dir: the folder (0700) that holds it.
        is_read_only: for the scanner, which reads what it was at the start of the scan.
    """

    def __init__(self, state_dir: Path, *, is_read_only: bool = False) -> None:
        self.path = state_dir / BASELINE_FILE
        self._is_read_only = is_read_only
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def open(self) -> list[str]:
        """Open or create the file.

        Returns:
            One line for each thing that was wrong and what was done; the caller reports them.

        Raises:
            StoreError: it can neither be opened nor created.
        """
        if self._is_read_only:
            self._connection = self._open_read_only()
            return []
        lines: list[str] = []
        try:
            self._connection = self._open_to_write()
        except (sqlite3.DatabaseError, UnicodeError) as error:  # SQLite quotes what is damaged
            if not _is_damage(error):
                return self._fall_back(error)
            lines.append(self._set_aside(error))
            self._connection = self._open_again()
        except OSError as error:
            return self._fall_back(error)
        return lines

    def close(self) -> None:
        """Close it; the journal of changes is written back first."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def known(self, path: str) -> FileRecord | None:
        """The expected record of a path, or None."""
        with self._use() as connection:
            row = connection.execute("SELECT * FROM files WHERE path = ?", (_key(path),)).fetchone()
        return None if row is None else _from_row(row)

    def is_empty(self) -> bool:
        """Whether nothing was ever accepted."""
        with self._use() as connection:
            fact = connection.execute("SELECT value FROM facts WHERE name = 'accepted'").fetchone()
        return fact is None

    def replace(self, records: Iterable[FileRecord]) -> int:
        """Make these records the whole baseline, all of them or none."""
        with self._change() as connection:
            connection.execute("DELETE FROM files")
            connection.executemany(_PUT, map(_to_row, records))
            connection.execute(_ACCEPTED)
            (count,) = connection.execute("SELECT count(*) FROM files").fetchone()
        return int(count)

    def accept(self, records: Iterable[FileRecord], removed: Sequence[str]) -> int:
        """Take records and forget removed paths; returns how many rows changed."""
        with self._change() as connection:
            before = connection.total_changes
            connection.executemany(_PUT, map(_to_row, records))
            connection.executemany(
                "DELETE FROM files WHERE path = ?", ((_key(path),) for path in removed)
            )
            changed = connection.total_changes - before
            connection.execute(_ACCEPTED)
        return changed

    def paths(self, prefix: str) -> Iterator[FileRecord]:
        """All expected records at or below a path, in path order ("" or "/" for all)."""
        start = _key(prefix)
        known = self.known(prefix)
        if known is not None:
            yield known
        last, end = start + (b"\0" if start else b""), start + b"\1"
        while rows := self._page(last, end):
            yield from map(_from_row, rows)
            last = rows[-1][0]

    def count(self) -> int:
        """How many files are expected."""
        with self._use() as connection:
            (count,) = connection.execute("SELECT count(*) FROM files").fetchone()
        return int(count)

    def digest(self) -> str:
        """SHA-256 in hex over `expected_bytes` of every record, in path order."""
        total = hashlib.sha256()
        for record in self.paths(""):
            total.update(expected_bytes(record))
        return total.hexdigest()

    def _page(self, last: bytes, end: bytes) -> list[Row]:
        with self._use() as connection:
            return connection.execute(_PAGE, (last, end, PAGE_ROWS)).fetchall()

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None:
                raise StoreError(f"{self.path}: expected an open baseline, got a closed one")
            try:
                yield self._connection
            except (sqlite3.Error, OverflowError, UnicodeError) as error:
                raise self._failure(error) from error

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._use() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _open_to_write(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        connection = _connect(f"{_uri(self.path)}?mode=rw")
        try:
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            _check(verdict, version)
            connection.executescript(_SCHEMA)
            _check_tables(connection)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_read_only(self) -> sqlite3.Connection:
        """Pin what the file holds now; a disk that allows no -shm file is read as it stands."""
        uri = _uri(self.path)
        error: sqlite3.Error | UnicodeError | None = None
        for mode in ("mode=ro", "mode=ro&immutable=1"):
            connection = _connect(f"{uri}?{mode}")
            try:
                connection.execute("BEGIN")
                connection.execute("SELECT 1 FROM files LIMIT 1").fetchone()
                connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            except (sqlite3.Error, UnicodeError) as refused:
                error = refused
                connection.close()
            else:
                return connection
        raise self._failure(error) from error

    def _open_again(self) -> sqlite3.Connection:
        try:
            return self._open_to_write()
        except (sqlite3.Error, UnicodeError, OSError) as error:
            raise self._failure(error) from error

    def _fall_back(self, error: Exception) -> list[str]:
        if self.path.is_symlink() or not self.path.exists():
            raise self._failure(error) from error
        self._connection = self._open_read_only()
        return [
            f"{self.path}: {error}; it is read only: nothing can be accepted until that is mended"
        ]

    def _set_aside(self, error: Exception) -> str:
        aside = self.path.with_name(self.path.name + ".damaged")
        try:
            self.path.replace(aside)
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        except OSError as refused:
            raise self._failure(refused) from refused
        return (
            f"{self.path}: {error}; set aside as {aside.name}, and the next scan is trusted on "
            "first use: compare the device with its release before you rely on it"
        )

    def _failure(self, error: Exception | None) -> StoreError:
        return StoreError(f"{self.path}: {error}; check that the disk is writable and not full")


def _uri(path: Path) -> str:
    """A path as SQLite reads it (sqlite.org/uri.html 3.1); not as_uri, for 0.15 MB of imports."""
    escaped = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file://{escaped}"


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
    )


def _check(verdict: object, version: object) -> None:
    if verdict != "ok" or version not in {0, SCHEMA_VERSION}:
        raise sqlite3.DatabaseError(
            f"expected an intact file of version {SCHEMA_VERSION}, got {verdict!r} and "
            f"version {version}"
        )


def _check_tables(connection: sqlite3.Connection) -> None:
    """quick_check asks whether rows fit their table, not whether the table is still ours."""
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(_SCHEMA)
        expected = model.execute(_TABLES).fetchall()
    found = connection.execute(_TABLES).fetchall()
    if found != expected:
        raise sqlite3.DatabaseError(f"expected the tables {expected!r}, got {found!r}")


def _is_damage(error: Exception) -> bool:
    """Whether the file itself is wrong, not the disk, the rights or another process."""
    return not isinstance(error, sqlite3.OperationalError)


def _key(path: str) -> bytes:
    """A path as it is sorted: the root is b"", and NUL, which no name holds, stands for slash."""
    return path.rstrip("/").encode("utf-8", "surrogateescape").replace(b"/", b"\0")


def _to_row(record: FileRecord) -> Row:
    path, kind, mode, uid, gid, size, inode, mtime_ns, ctime_ns, digest, capabilities = record
    return (
        _key(path), KINDS.index(kind), mode, uid, gid, size, inode, mtime_ns, ctime_ns,
        bytes.fromhex(digest), bytes.fromhex(capabilities),
    )  # fmt: skip


def _from_row(row: Row) -> FileRecord:
    if tuple(map(type, row)) != _TYPES or row[1] not in range(len(KINDS)):
        raise StoreError(f"baseline: expected a file's row, got {row!r}; restart to set it aside")
    path, kind, mode, uid, gid, size, inode, mtime_ns, ctime_ns, digest, capabilities = row
    text = path.replace(b"\0", b"/").decode("utf-8", "surrogateescape") or "/"
    return FileRecord(
        text, KINDS[kind], mode, uid, gid, size, inode, mtime_ns, ctime_ns,
        digest.hex(), capabilities.hex(),
    )  # fmt: skip
