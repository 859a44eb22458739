"""Stores that a power cut breaks, each by one well-known mistake, as stories for tests/powercut.

They prove that the judge of the real stores can find something: each must be found bad.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from tests.powercut.story import BadStateError, Mark, Promises, require

from vedette.store import durable

UPDATES = 3
_ENVIRONMENT_BYTES = 2048


def content(number: int) -> bytes:
    """Of a file after so many updates: its number, and a checksum over all of it."""
    body = b"%d\n" % number + bytes([number]) * _ENVIRONMENT_BYTES
    return b"%08x\n" % crc32(body) + body


def number_of(data: bytes) -> int:
    """The update that wrote this; BadStateError for what no update wrote."""
    checksum, _, body = data.partition(b"\n")
    if checksum != b"%08x" % crc32(body):
        raise BadStateError(f"neither old nor new: {data[:20]!r}, {len(data)} bytes")
    return int(body.partition(b"\n")[0])


class _Updates:
    """Updates one file, `file`, which is whole before."""

    @staticmethod
    def prepare(folder: Path) -> None:
        (folder / "file").write_bytes(content(0))

    @staticmethod
    def check(folder: Path, marks: Sequence[str]) -> None:
        Promises(marks).require(number_of((folder / "file").read_bytes()), "file")


class UnsyncedFile(_Updates):
    """Renamed into place before its content was synced: the name may lead to nothing."""

    @staticmethod
    def play(folder: Path, mark: Mark) -> None:
        for number in range(1, UPDATES + 1):
            mark(f"begun {number}")
            (folder / "file.new").write_bytes(content(number))
            (folder / "file.new").rename(folder / "file")
            durable.sync_folder(folder)
            mark(f"done {number}")


class UnsyncedFolder(_Updates):
    """Promised before the folder was synced: the rename may be lost."""

    @staticmethod
    def play(folder: Path, mark: Mark) -> None:
        for number in range(1, UPDATES + 1):
            mark(f"begun {number}")
            durable._write_synced(folder / "file.new", content(number))
            (folder / "file.new").rename(folder / "file")
            mark(f"done {number}")


class NoSyncAtAll(_Updates):
    """As tuf.ngclient keeps its metadata: a temporary file, and os.replace."""

    @staticmethod
    def play(folder: Path, mark: Mark) -> None:
        for number in range(1, UPDATES + 1):
            mark(f"begun {number}")
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as made:
                made.write(content(number))
            os.replace(made.name, folder / "file")  # noqa: PTH105
            mark(f"done {number}")


class TornEnvironment(_Updates):
    """One copy, overwritten in place: each block of 512 bytes is old or new by itself."""

    @staticmethod
    def play(folder: Path, mark: Mark) -> None:
        for number in range(1, UPDATES + 1):
            mark(f"begun {number}")
            durable.overwrite(folder / "file", content(number))
            mark(f"done {number}")


class BothCopiesAtOnce:
    """Two copies, of which the first is not synced before the second is overwritten."""

    @staticmethod
    def prepare(folder: Path) -> None:
        for name in ("a", "b"):
            (folder / name).write_bytes(content(0))

    @staticmethod
    def play(folder: Path, mark: Mark) -> None:
        for number in range(1, UPDATES + 1):
            mark(f"begun {number}")
            flags = os.O_WRONLY
            with durable.opened(folder / "a", flags) as a, durable.opened(folder / "b", flags) as b:
                for descriptor in (a, b):
                    durable.write_at(descriptor, content(number), 0)
                for descriptor in (a, b):
                    durable.sync(descriptor)
            mark(f"done {number}")

    @staticmethod
    def check(folder: Path, marks: Sequence[str]) -> None:
        found: list[int] = []
        for name in ("a", "b"):
            try:
                found.append(number_of((folder / name).read_bytes()))
            except BadStateError:
                continue
        require(bool(found), "both copies are torn")
        Promises(marks).require(max(found), "the newer copy")


class UnlinkThenLink:
    """A link removed and made anew: for a moment there is none."""

    @staticmethod
    def prepare(folder: Path) -> None:
        (folder / "current").symlink_to("0")

    @staticmethod
    def play(folder: Path, mark: Mark) -> None:
        for number in range(1, UPDATES + 1):
            mark(f"begun {number}")
            (folder / "current").unlink()
            (folder / "current").symlink_to(str(number))
            durable.sync_folder(folder)
            mark(f"done {number}")

    @staticmethod
    def check(folder: Path, marks: Sequence[str]) -> None:
        require((folder / "current").is_symlink(), "there is no current link")
        target = os.readlink(folder / "current")  # noqa: PTH115
        Promises(marks).require(int(target), "current")


class ArmedBeforeSync:
    """A boot environment that names a slot whose bytes are still on their way."""

    @staticmethod
    def prepare(folder: Path) -> None:
        for name in ("slot-0", "slot-1"):
            (folder / name).write_bytes(content(0))
        (folder / "boot").write_bytes(b"0")

    @staticmethod
    def play(folder: Path, mark: Mark) -> None:
        for number in range(1, UPDATES + 1):
            mark(f"begun {number}")
            with durable.opened(folder / f"slot-{number % 2}", os.O_WRONLY) as slot:
                durable.write_at(slot, content(number), 0)
                durable.write(folder / "boot", b"%d" % (number % 2))
                durable.sync(slot)
            mark(f"done {number}")

    @staticmethod
    def check(folder: Path, marks: Sequence[str]) -> None:
        slot = int((folder / "boot").read_bytes())
        Promises(marks).require(number_of((folder / f"slot-{slot}").read_bytes()), "booted")


class UnsyncedDatabase:
    """SQLite told not to sync: what it committed may be gone."""

    @staticmethod
    def play(folder: Path, mark: Mark) -> None:
        database = sqlite3.connect(folder / "db", isolation_level=None)
        database.execute("PRAGMA synchronous = OFF")
        database.execute("CREATE TABLE number (value INTEGER)")
        for number in range(1, UPDATES + 1):
            mark(f"begun {number}")
            database.execute("INSERT INTO number VALUES (?)", (number,))
            mark(f"done {number}")
        database.close()

    @staticmethod
    def check(folder: Path, marks: Sequence[str]) -> None:
        database = sqlite3.connect(folder / "db", isolation_level=None)
        try:
            database.execute("CREATE TABLE IF NOT EXISTS number (value INTEGER)")
            (newest,) = database.execute("SELECT max(value) FROM number").fetchone()
        finally:
            database.close()
        Promises(marks).require(newest or 0, "newest row")
