"""Says how a file differs from what it is meant to be, in words for people.

Rule 1: content, kind, owner, mode and capabilities count; times and inode never do.
Rule 2: what cannot be judged is said ("unreadable"), never taken for equal.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from vedette.model.baseline import Difference, FileRecord, Hint

HINTS_MAX: Final = 1024
"""Paths whose last changer is remembered until the next scan; about 300 KB."""


def compare(expected: FileRecord | None, found: FileRecord | None) -> Difference | None:
    """The difference between what is meant to be and what is there; None if there is none."""
    if found is None:
        if expected is None:
            return None
        return Difference("removed", expected.path, (expected.kind,), expected, None, "")
    if expected is None:
        return Difference("added", found.path, _remarkable(found), None, found, "")
    words = tuple(_words(expected, found))
    return Difference("changed", found.path, words, expected, found, "") if words else None


def is_same_moment(expected: FileRecord, found: FileRecord) -> bool:
    """Whether inode, size and times say that nobody touched the file since it was read."""
    return (
        expected.inode == found.inode
        and expected.size_bytes == found.size_bytes
        and expected.mtime_ns == found.mtime_ns
        and expected.ctime_ns == found.ctime_ns
    )


def within(differences: Iterable[Difference], paths: Sequence[str]) -> list[Difference]:
    """Those at or below one of the paths; all of them when no path is given."""
    if not paths:
        return list(differences)
    plain = [path.rstrip("/") for path in paths]
    return [
        one
        for one in differences
        if any(one.path == path or one.path.startswith(path + "/") for path in plain)
    ]


def to_accept(differences: Iterable[Difference]) -> tuple[list[FileRecord], list[str]]:
    """What accepting differences means: the records to take and the paths to forget."""
    records: list[FileRecord] = []
    removed: list[str] = []
    for one in differences:
        if one.found is None:
            removed.append(one.path)
        else:
            records.append(one.found)
    return records, removed


def describe(difference: Difference) -> Mapping[str, object]:
    """A difference as the control socket and `--json` give it."""
    return {
        "change": difference.change,
        "path": difference.path,
        "words": list(difference.words),
        "expected": _document(difference.expected),
        "found": _document(difference.found),
        "changed_by": difference.changed_by,
    }


class ChangeHints:
    """Remembers who changed which path last, for the scan that finds the result.

    Bounded: the path that was changed longest ago is forgotten first.
    """

    def __init__(self, limit: int = HINTS_MAX) -> None:
        self._limit = limit
        self._hints: dict[str, Hint] = {}

    def note(self, path: str, hint: Hint) -> None:
        """Remember the newest changer of a path."""
        self._hints.pop(path, None)
        if len(self._hints) >= self._limit:
            del self._hints[next(iter(self._hints))]
        self._hints[path] = hint

    def who(self, path: str) -> Hint | None:
        """Who changed a path last, if that is known."""
        return self._hints.get(path)


def _words(expected: FileRecord, found: FileRecord) -> Iterable[str]:
    if expected.kind != found.kind:
        yield f"kind {expected.kind} -> {found.kind}"
    else:
        yield from _content_words(expected, found)
    if (expected.uid, expected.gid) != (found.uid, found.gid):
        yield f"owner {expected.uid}:{expected.gid} -> {found.uid}:{found.gid}"
    if stat.S_IMODE(expected.mode) != stat.S_IMODE(found.mode):
        yield f"mode {_permissions(expected)} -> {_permissions(found)}"
    if expected.capabilities != found.capabilities:
        yield f"capabilities {expected.capabilities or 'none'} -> {found.capabilities or 'none'}"


def _content_words(expected: FileRecord, found: FileRecord) -> Iterable[str]:
    if expected.digest == found.digest:
        if found.kind == "file" and not found.digest and expected.size_bytes != found.size_bytes:
            yield "size"
    elif not found.digest:
        yield "unreadable"
    else:
        yield "target" if found.kind == "link" else "content"


def _remarkable(found: FileRecord) -> tuple[str, ...]:
    words = [found.kind]
    if found.mode & (stat.S_ISUID | stat.S_ISGID) and found.kind == "file":
        words.append(f"mode {_permissions(found)}")
    if found.capabilities:
        words.append(f"capabilities {found.capabilities}")
    return tuple(words)


def _permissions(record: FileRecord) -> str:
    return f"{stat.S_IMODE(record.mode):04o}"


def _document(record: FileRecord | None) -> Mapping[str, object] | None:
    if record is None:
        return None
    return {
        "kind": record.kind,
        "mode": _permissions(record),
        "uid": record.uid,
        "gid": record.gid,
        "size_bytes": record.size_bytes,
        "sha256": record.digest,
        "capabilities": record.capabilities,
    }
