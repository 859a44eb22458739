"""The port of the hash baseline: what the files of this device are meant to be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple


class FileRecord(NamedTuple):
    """A file as a scan saw it; `capabilities` is security.capability in hex, "" for none.

    `kind` is "file", "link" (digest of the target's text), "dir" or "other".
    """

    path: str
    kind: str
    mode: int
    uid: int
    gid: int
    size_bytes: int
    inode: int
    mtime_ns: int
    ctime_ns: int
    digest: str
    capabilities: str


class Difference(NamedTuple):
    """One file that is not as the baseline has it; `words` names what differs."""

    change: Literal["added", "removed", "changed"]
    path: str
    words: tuple[str, ...]
    expected: FileRecord | None
    found: FileRecord | None
    changed_by: str


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
        """Make these records the whole baseline; returns how many."""

    @abstractmethod
    def accept(self, records: Iterable[FileRecord], removed: Sequence[str]) -> int:
        """Take records and forget removed paths; returns how many rows changed."""

    @abstractmethod
    def paths(self, prefix: str) -> Iterable[FileRecord]:
        """All expected records at or below a path, in path order."""
