"""The port of where releases come from: a server, a folder, or the updater at the other end.

Rule 1: nothing that a source gives is believed; the installer verifies every byte.
Rule 2: a source gives what was asked for, all of it, or raises: a short answer is never taken for
a whole one, and a long one is cut off at what was asked.
Rule 3: calls block, for a bounded time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol


class Reader(Protocol):
    """Bytes in their order."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of the buffer, from its start.

        Returns:
            How many bytes, at least 1; 0 when all that was asked for has been read.

        Raises:
            FetchError: the rest could not be fetched; what was read stands, go on from there.
        """


class ReleaseSource(ABC):
    """Metadata and target files of one repository, somewhere else."""

    @abstractmethod
    def metadata(self, name: str, max_bytes: int) -> bytes:
        """One whole metadata file.

        Args:
            name: one path segment as URLs have it, such as "timestamp.json" or "2.root.json".
            max_bytes: a longer one is refused.

        Raises:
            AbsentError: there is no such file.
            FetchError: it could not be fetched.
        """

    @abstractmethod
    def target(self, path: str, runs: Sequence[tuple[int, int]]) -> Reader:
        """Parts of a target file, back to back.

        Args:
            path: as to be asked for, the digest in front of its last segment included.
            runs: (offset, length) in bytes, in order, none overlapping another
                (codec.install_link.check_runs).

        Raises:
            AbsentError: there is no such file.
            FetchError: it cannot be fetched now.
        """
