"""Good copies in a folder of ours: one file for each path, named by the path's digest.

Rule 1: the folder is root's alone (0700): it holds what /etc holds, password hashes included.
Rule 2: bounded: `keep` refuses what would exceed the limits; `retain` drops what is not wanted.
Rule 3: what is torn or damaged is no copy; the next refresh writes it anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from pathlib import Path
from typing import Final

from vedette.codec import good_copy
from vedette.errors import ParseError
from vedette.model.baseline import GoodCopy
from vedette.ports.good_copies import GoodCopies
from vedette.store.shelf import FileShelf

FOLDER: Final = "good-copies"
"""In the state folder."""


class FileGoodCopies(GoodCopies):
    """Copies by path.

    Args:
        state_dir: ours (0700), on a disk that keeps its files.
        file_bytes: of a file at most.
    """

    def __init__(self, state_dir: Path, *, file_bytes: int) -> None:
        limit = file_bytes + good_copy.MAX_HEAD_BYTES + 64
        self._shelf = FileShelf(state_dir / FOLDER, max_bytes=limit)

    def find(self, path: str, sha256: str) -> GoodCopy | None:
        """The copy of a path whose content has this digest, or None."""
        data = self._shelf.load(_name(path))
        if data is None:
            return None
        try:
            copy = good_copy.decode(data)
        except ParseError:
            return None  # a power cut in the middle of the first one, or a worn-out flash
        is_right = copy.path == path and hashlib.sha256(copy.content).hexdigest() == sha256
        return copy if is_right else None

    def keep(self, copy: GoodCopy) -> None:
        """Keep a copy instead of the one before; when this returns it is on the disk.

        Raises:
            StoreError: the disk did not take it, or it is larger than the limit; the one before
                stands.
        """
        self._shelf.save(_name(copy.path), good_copy.encode(copy))

    def retain(self, keys: Container[bytes]) -> int:
        """Drop the copies of all paths but those with these keys; returns how many were dropped."""
        others = [name for name in self._shelf.each() if _key_in(name) not in keys]
        for name in others:
            self._shelf.remove(name)
        return len(others)


def key_of(path: str) -> bytes:
    """What stands for a path: its SHA-256, small enough to have thousands in memory."""
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()


def _name(path: str) -> str:
    return key_of(path).hex()


def _key_in(name: str) -> bytes:
    """The key in a file's name; of what is no name of ours it is nobody's."""
    try:
        return bytes.fromhex(name)
    except ValueError:
        return b""
