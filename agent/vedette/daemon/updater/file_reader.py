"""Reads parts of a file, or of what lies within one, back to back."""

from __future__ import annotations

import contextlib
import os

from vedette.errors import FetchError
from vedette.ports.release_source import Reader


class FileReader(Reader):
    """Runs of one file.

    Args:
        descriptor: of the file; this reader's own from now on.
        path: of the target, for messages.
        runs: (offset, length) each.
        start: where the target begins in the file.
        size: of the target in bytes; None where it goes on to the file's end.
    """

    def __init__(
        self,
        descriptor: int,
        path: str,
        runs: list[tuple[int, int]],
        *,
        start: int = 0,
        size: int | None = None,
    ) -> None:
        self._descriptor, self._path, self._runs = descriptor, path, runs
        self._start, self._size = start, size

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of the buffer, from its start."""
        if not self._runs:
            return 0
        offset, length = self._runs[0]
        wanted = min(length, len(buffer))
        if self._size is not None:
            wanted = max(0, min(wanted, self._size - offset))
        try:
            count = os.preadv(self._descriptor, [buffer[:wanted]], self._start + offset)
        except OSError as error:
            raise FetchError(f"{self._path}: cannot be read: {error.strerror}") from error
        if count == 0:
            raise FetchError(f"{self._path}: expected {length} bytes at {offset}, found its end")
        if count < length:
            self._runs[0] = (offset + count, length - count)
        else:
            self._runs.pop(0)
        return count

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
