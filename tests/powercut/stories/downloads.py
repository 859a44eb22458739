"""Files on their way in: fetched in parts, gone on with after a cut, whole or not there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tests.powercut.story import Mark, Promises, require

from vedette.daemon.installer import staging
from vedette.daemon.updater.directory_source import DirectorySource
from vedette.errors import FetchError
from vedette.store import durable
from vedette.trust.tuf_client import VerifiedTarget

FILES = 2
_SIZE = 20_000
_PART = 7_000


def prepare(folder: Path) -> None:
    """What a source has."""
    for number in range(1, FILES + 1):
        target = folder / "source" / f"{number}"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(_content(number))
        (folder / f"short-{number}").write_bytes(_content(number)[:_PART])


def play(folder: Path, mark: Mark) -> None:
    """Each file breaks off once, and is gone on with."""
    durable.make_folder(folder / "staged")
    for number in range(1, FILES + 1):
        mark(f"begun {number}")
        broken = DirectorySource(folder, folder)
        try:
            staging.fetch(broken, _target(number, f"short-{number}"), _staged(folder, number))
        except FetchError:
            staging.fetch(_source(folder), _target(number), _staged(folder, number))
        mark(f"done {number}")


def check(folder: Path, marks: Sequence[str]) -> None:
    """What was promised is whole; whatever else is there, fetching again ends well."""
    durable.make_folder(folder / "staged")
    for number in range(1, FILES + 1):
        if number <= Promises(marks).last("done"):
            is_whole = staging.is_whole(_target(number), _staged(folder, number))
            require(is_whole, f"file {number} is not whole any more")
        staging.fetch(_source(folder), _target(number), _staged(folder, number))
        require(_staged(folder, number).read_bytes() == _content(number), "another content")


def _content(number: int) -> bytes:
    return b"".join(hashlib.sha256(b"%d %d" % (number, n)).digest() for n in range(_SIZE // 32))


def _target(number: int, path: str = "") -> VerifiedTarget:
    content = _content(number)
    hashes = {"sha256": hashlib.sha256(content).hexdigest()}
    return VerifiedTarget(f"{number}", len(content), hashes, None, "rules", path or f"{number}")


def _source(folder: Path) -> DirectorySource:
    return DirectorySource(folder, folder / "source")


def _staged(folder: Path, number: int) -> Path:
    return folder / "staged" / f"{number}"
