"""Metadata that was fetched in a session that ended too early; nothing in it is trusted.

Rule 1: only files whose name has their version are kept: another content would be another version.
Rule 2: the cache lives until the installer says that it has what it needs, or that something was
refused: what was refused is never offered twice from here.
Rule 3: a cache that cannot be read or written is as good as none.
Rule 4: a file is whole or not here: one that a power cut tore would be refused as a forgery.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from vedette.errors import StoreError
from vedette.ports.release_source import Reader, ReleaseSource
from vedette.store import durable

MAX_FILES = 64
MAX_NAME = 200
_VERSIONED = re.compile(r"[0-9]{1,12}\.[A-Za-z0-9_%-][A-Za-z0-9_.~%-]*\.json")


class CachedSource(ReleaseSource):
    """A source, and what it gave before.

    Args:
        source: that is asked for what is not here.
        folder: of the cache; nothing else lies there.
    """

    def __init__(self, source: ReleaseSource, folder: Path) -> None:
        self._source, self._folder = source, folder

    def metadata(self, name: str, max_bytes: int) -> bytes:
        """One whole metadata file."""
        found = self._load(name, max_bytes)
        if found is None:
            found = self._source.metadata(name, max_bytes)
            self._keep(name, found)
        return found

    def target(self, path: str, runs: Sequence[tuple[int, int]]) -> Reader:
        """Parts of a target file: never from here."""
        return self._source.target(path, runs)

    def clear(self) -> None:
        """Forget everything."""
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                path.unlink()

    def _load(self, name: str, max_bytes: int) -> bytes | None:
        if not _is_kept(name):
            return None
        try:
            with open(self._folder / name, "rb", opener=_no_link) as file:
                data = file.read(max_bytes + 1)
        except OSError:
            return None
        return data if 0 < len(data) <= max_bytes else None

    def _keep(self, name: str, data: bytes) -> None:
        if not _is_kept(name):
            return
        with contextlib.suppress(OSError, StoreError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            if sum(1 for _ in self._folder.iterdir()) < MAX_FILES:
                durable.write(self._folder / name, data)


def _is_kept(name: str) -> bool:
    return len(name) <= MAX_NAME and _VERSIONED.fullmatch(name) is not None


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
