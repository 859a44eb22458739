"""What an event's file is and holds: identity, moment, path and digest, through its descriptor.

Rule: nothing is opened by name here: the file that is judged is the one that will be executed.
"""

from __future__ import annotations

import os
from time import monotonic

try:  # not hashlib, which loads the 5 MB of libcrypto
    from _sha2 import sha256  # type: ignore[import-not-found] # Python 3.12 and later
except ImportError:
    from _sha256 import sha256  # type: ignore[import-not-found]

SLICE_BYTES = 131_072
"""Between two looks at the clock: a tenth of the deadline on a disk of 13 MB a second."""


def identity(status: os.stat_result) -> tuple[int, int]:
    """Which file it is."""
    return status.st_dev, status.st_ino


def moment(status: os.stat_result) -> tuple[int, int, int]:
    """Changes with every write, rename and link; no program can set it back (inode(7), ctime)."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def path_of(descriptor: int) -> str:
    """The path by which it was opened, "" where there is none; a mount namespace can feign it."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 (no pathlib here)
    except OSError:
        return ""


def is_at(path: str, wanted: tuple[int, int]) -> bool:
    """Whether a path leads, in our own mount namespace, to this very file."""
    try:
        return identity(os.stat(path)) == wanted  # noqa: PTH116 (no pathlib here)
    except OSError:
        return False


class Reading:
    """A file that is being hashed, piece by piece; it does not own the descriptor.

    Attributes:
        status: of the file before its first byte was read.
        digest: SHA-256 once `go_on` has returned True.
    """

    __slots__ = ("_hasher", "_offset", "descriptor", "digest", "status")

    def __init__(self, descriptor: int, status: os.stat_result) -> None:
        self.descriptor = descriptor
        self.status = status
        self.digest = b""
        self._hasher = sha256()
        self._offset = 0

    def go_on(self, until_s: float) -> bool:
        """Hash at least a slice, and until a moment of the monotonic clock.

        Returns:
            Whether the end of the file was reached.

        Raises:
            OSError: it cannot be read.
        """
        while True:
            piece = os.pread(self.descriptor, SLICE_BYTES, self._offset)
            if not piece:
                self.digest = self._hasher.digest()
                return True
            self._hasher.update(piece)
            self._offset += len(piece)
            if monotonic() >= until_s:
                return False

    def is_unchanged(self) -> bool:
        """Whether the file is as it was before its first byte was read."""
        return moment(os.fstat(self.descriptor)) == moment(self.status)
