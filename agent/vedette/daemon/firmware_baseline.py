"""Makes a firmware's file manifest the baseline, and brings the one before back.

The installer writes what it wants into a file and wakes the sentinel, which alone writes the
baseline, carries it out and takes the file away: nothing is lost where the sentinel does not run.

    use <SHA-256 of the manifest>    from the first start of a trial on: a scan must not find a
                                     firmware's own files to be changed
    return                           after a rollback
    forget                           when no rollback is possible any more

Rule 1: the baseline before is copied aside, whole, before it is changed, and kept until `forget`.
Rule 2: each wish may be carried out again after a cut; the last one counts.
Rule 3: what the device has beside its firmware stays expected. Of the firmware before only what is
gone from the disk and not in the manifest is forgotten.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from vedette.codec import file_manifest
from vedette.errors import ParseError, StoreError
from vedette.ports.baseline import BASELINE_FILE, Baseline
from vedette.store import durable
from vedette.store.baseline import SqliteBaseline

WISH_FILE = "baseline.wish"
_BEFORE = "baseline-before"
_MAX_WISH_BYTES = 200
_WISH = re.compile(rb"(?:use (?P<digest>[0-9a-f]{64})|return|forget)\n")
_PIECE_BYTES = 1 << 18


def wish(folder: Path, words: str) -> None:
    """Ask for something; it is on the disk when this returns.

    Args:
        folder: of the firmware's state.
        words: as the head of this module has them.

    Raises:
        StoreError: the disk did not take it.
    """
    durable.write(folder / WISH_FILE, words.encode() + b"\n")


def manifest_path(folder: Path, sha256: str) -> Path:
    """Where a manifest lies while it is or may become the baseline."""
    return folder / f"{sha256}.files"


class FirmwareBaseline:
    """The sentinel's side; calls block on the disk.

    Args:
        baseline: that is changed.
        folder: of the firmware's state.
    """

    def __init__(self, baseline: Baseline, folder: Path) -> None:
        self._baseline, self._folder = baseline, folder

    def carry_out(self) -> str:
        """Do what is wished; returns the wish in words, "" where there is none.

        Raises:
            StoreError: it could not be done, and stays wished.
            ParseError: the manifest is none; it stays wished until another wish comes.
        """
        path = self._folder / WISH_FILE
        found = durable.read(path, _MAX_WISH_BYTES)
        if found is None:
            return ""
        parts = _WISH.fullmatch(found)
        if parts is None:
            durable.remove(path)
            raise StoreError(f"{path}: expected use, return or forget, got {found[:80]!a}")
        words = found.decode().strip()
        if parts["digest"]:
            self._use(parts["digest"].decode())
        elif words == "return":
            self._give_back()
        else:
            self._forget()
        durable.remove(path)
        return words

    def _use(self, sha256: str) -> None:
        path = manifest_path(self._folder, sha256)
        try:
            with path.open("rb") as manifest:
                _check(manifest, path, sha256)
                if self._baseline.is_empty():
                    raise StoreError("the first scan has not ended: there is no baseline yet")
                self._keep()
                gone = self._gone(manifest)
                manifest.seek(0)
                self._baseline.accept(file_manifest.decode(manifest), gone)
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {error.strerror}") from error

    def _gone(self, manifest: IO[bytes]) -> list[str]:
        """What is expected, is not on the disk, and does not come with this firmware."""
        expected = self._baseline.paths("")
        gone = {record.path for record in expected if not os.path.lexists(record.path)}
        manifest.seek(0)
        gone.difference_update(record.path for record in file_manifest.decode(manifest))
        return sorted(gone)

    def _keep(self) -> None:
        """Copy the baseline aside, unless that was done: then what is in use is no longer it."""
        durable.make_folder(self._folder / _BEFORE)
        with _Opened(self._folder / _BEFORE) as before:
            if before.is_empty():
                before.replace(self._baseline.paths(""))

    def _give_back(self) -> None:
        if not (self._folder / _BEFORE / BASELINE_FILE).exists():
            return
        with _Opened(self._folder / _BEFORE) as before:
            if not before.is_empty():
                self._baseline.replace(before.paths(""))
        self._forget()

    def _forget(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            durable.remove(self._folder / _BEFORE / f"{BASELINE_FILE}{suffix}")


class _Opened:
    """A baseline file of its own, closed afterwards."""

    def __init__(self, folder: Path) -> None:
        self._baseline = SqliteBaseline(folder)

    def __enter__(self) -> Baseline:
        self._baseline.open()
        return self._baseline

    def __exit__(self, *_: object) -> None:
        self._baseline.close()


def _check(manifest: IO[bytes], path: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    for piece in _pieces(manifest):
        digest.update(piece)
    if digest.hexdigest() != sha256:
        raise ParseError(f"{path}: expected SHA-256 {sha256}, got {digest.hexdigest()}")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        yield piece
