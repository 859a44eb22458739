"""The port of the hash baseline: what the files of this device are meant to be.

Rule 1: only StoreError leaves the methods.
Rule 2: one process opens the baseline to write, the sentinel; a scanner reads the same file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from vedette.model.baseline import Difference, FileRecord

__all__ = ["BASELINE_FILE", "Baseline", "Difference", "FileRecord"]

BASELINE_FILE = "baseline.db"
"""Its name in the state folder: the scanner, a process of its own, opens it by this name."""


class Baseline(ABC):
    """Expected files by path. Calls may block on the disk: use them in a worker thread."""

    @abstractmethod
    def known(self, path: str) -> FileRecord | None:
        """The expected record of a path, or None."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether nothing was ever accepted: the first scan is then trusted on first use."""

    @abstractmethod
    def replace(self, records: Iterable[FileRecord]) -> int:
        """Make these records the whole baseline, all of them or none; returns how many."""

    @abstractmethod
    def accept(self, records: Iterable[FileRecord], removed: Sequence[str]) -> int:
        """Take records and forget removed paths; returns how many rows changed."""

    @abstractmethod
    def paths(self, prefix: str) -> Iterable[FileRecord]:
        """All expected records at or below a path, in path order."""

    @abstractmethod
    def count(self) -> int:
        """How many files are expected."""

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 in hex over what is expected of every file, in path order.

        Inode, mtime and ctime are left out: they change without anybody's consent.
        """
