"""The port of what brings the bytes of a firmware image; nothing that it says is believed.

Rule 1: whoever reads checks every byte: block by block by the signed index, or by the whole digest.
Rule 2: an end before the last byte that was asked for is a short read: the caller notices, keeps
what it has, and asks again later.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, Protocol

MAX_RUNS = 4096
"""Of one request: what is asked at a time stays within some dozens of kilobytes."""


class Run(NamedTuple):
    """A part of an image, in bytes."""

    offset: int
    length: int


class Reader(Protocol):
    """Bytes in their order."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of the buffer, from its start; returns how many bytes, 0 at the end."""


class ImageSource(ABC):
    """One image, somewhere else. Calls block."""

    @abstractmethod
    def read(self, runs: Sequence[Run]) -> Reader:
        """Ask for parts of the image; what comes are their bytes, back to back.

        Args:
            runs: from 1 to MAX_RUNS, in the order of their offsets, none overlapping another.

        Raises:
            FetchError: it cannot be asked now; so does the reader when it breaks off.
        """
