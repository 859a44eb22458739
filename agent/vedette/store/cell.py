"""One small file whose old content is overwritten (ports.state.Cell).

Rule: first the new content is whole and durable under the name, then the old one's blocks are
overwritten: a power cut in between leaves two, never none.
"""

from __future__ import annotations

import os
from pathlib import Path

from vedette.errors import StoreError
from vedette.ports.state import Cell
from vedette.store import durable

MAX_BYTES = 4096


class FileCell(Cell):
    """A file in a folder of ours.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)

    def load(self) -> bytes | None:
        """What it holds, or None where there is none."""
        return durable.read(self._path, MAX_BYTES)

    def replace(self, data: bytes) -> None:
        """Hold this from now on, and overwrite what was held."""
        before = self._open_old()
        try:
            durable.write(self._path, data)
            if before >= 0:
                self._overwrite(before)
        finally:
            if before >= 0:
                os.close(before)

    def _open_old(self) -> int:
        try:
            return os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return -1

    def _overwrite(self, descriptor: int) -> None:
        """With zeros: the old file has no name any more, but its blocks are still there."""
        try:
            durable.write_at(descriptor, bytes(min(os.fstat(descriptor).st_size, MAX_BYTES)), 0)
            durable.sync(descriptor)
        except OSError as error:
            raise StoreError(
                f"{self._path}: what it held cannot be overwritten: {error.strerror}"
            ) from error
