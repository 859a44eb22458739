"""What a file is meant to be, and one file that is not so.

Rule 1: `path` is absolute, decoded from UTF-8 with surrogateescape, and names no link but the last
component may be one.
Rule 2: inode, mtime and ctime serve only to skip a hash; nobody is told that they differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

FileKind: TypeAlias = Literal["file", "link", "dir", "other"]
Change: TypeAlias = Literal["added", "removed", "changed"]


class FileRecord(NamedTuple):
    """A file as a scan saw it; `capabilities` is security.capability in hex, "" for none.

    `mode` is st_mode, type bits included. `digest` is SHA-256 in hex: of the content of a file, of
    the target's text of a link, "" for what has neither and for what could not be read.
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

    change: Change
    path: str
    words: tuple[str, ...]
    expected: FileRecord | None
    found: FileRecord | None
    changed_by: str


class Hint(NamedTuple):
    """Who was last seen to change a path; `image` is "" where only the pid is known."""

    pid: int
    image: str
    at_s: float


class ScanCounts(NamedTuple):
    """What one scan did; `hashed` files were read whole, the others had not been touched."""

    files: int
    hashed: int
    hashed_bytes: int
    differences: int
    skipped: int


class GoodCopy(NamedTuple):
    """A small file as the baseline took it; owner, mode and times stand in its FileRecord.

    `attributes` are all its extended ones: ACLs, capabilities and labels are among them.
    """

    path: str
    attributes: Mapping[str, bytes]
    content: bytes
