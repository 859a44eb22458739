"""The holder's marks: file systems to be asked about, files that the kernel lets pass by itself.

Rule 1: essential files are passed by marks that stay in memory, set before any file system is
watched: a device goes on with them even when holder and guardian are both stopped.
Rule 2: other files are passed once their verdict is known, by marks that the kernel may evict. A
write or truncation clears them; a write through a shared mapping does not, so the last close of a
file that was open for writing is an event for marked files, and takes the mark away.
"""

from __future__ import annotations

import os

from vedette.codec.exec_events import CLOSE_WRITE, OPEN_EXEC_PERM
from vedette.daemon.holder.calls import (
    FAN_MARK_ADD,
    FAN_MARK_EVICTABLE,
    FAN_MARK_FILESYSTEM,
    FAN_MARK_IGNORE,
    FAN_MARK_IGNORED_MASK,
    FAN_MARK_INODE,
    FAN_MARK_REMOVE,
    Calls,
)
from vedette.daemon.holder.content import identity
from vedette.model.denial import Lists

# Linux 6.0 and 5.19; before that the older word for it, and marks that hold their file in memory.
_WAYS = ((FAN_MARK_IGNORE, FAN_MARK_EVICTABLE), (FAN_MARK_IGNORE, 0), (FAN_MARK_IGNORED_MASK, 0))
KEPT_MAX = 8192
"""Marked files; a mark takes some 100 bytes of the kernel's memory, a held file a kilobyte."""
MAX_PROBLEMS = 8


class Marks:
    """The marks of one group.

    Attributes:
        essential: (device, inode) of the files that are never denied.
        is_cached: whether this kernel lets files pass by itself.
        kept: how many files were marked since the marks were last set anew.
    """

    def __init__(self, calls: Calls, group: int) -> None:
        self._calls = calls
        self._group = group
        self.essential: dict[tuple[int, int], str] = {}
        self.is_cached = True
        self.kept = 0
        self._paths: frozenset[str] = frozenset()
        self._watched: frozenset[str] = frozenset()
        self._ignore, self._evictable = _WAYS[0]

    def use(self, lists: Lists, *, has_work: bool) -> tuple[int, str]:
        """Set all marks anew.

        Returns:
            How many file systems are watched, and in words what could not be marked.
        """
        self._paths = lists.essential
        problems = self._forget()
        wanted = lists.watched if has_work else frozenset()
        for directory in sorted(self._watched - wanted):
            self._watch(FAN_MARK_REMOVE, directory)  # or it was unmounted, and its mark with it
        unmarked = [
            problem
            for directory in sorted(wanted)
            if (problem := self._watch(FAN_MARK_ADD, directory))
        ]
        self._watched = wanted
        words = "; ".join([*unmarked, *problems][:MAX_PROBLEMS])
        return len(wanted) - len(unmarked), words

    def keep(self, descriptor: int) -> bool:
        """Let the kernel pass a file from now on; False where it cannot."""
        if not self.is_cached:
            return False
        if self.kept >= KEPT_MAX:  # most of them were evicted long ago
            self._forget()
        for ignore, evictable in _WAYS[_WAYS.index((self._ignore, self._evictable)) :]:
            add = FAN_MARK_ADD | evictable
            try:
                self._calls.mark_file(self._group, add, CLOSE_WRITE, descriptor)
                self._calls.mark_file(self._group, add | ignore, OPEN_EXEC_PERM, descriptor)
            except OSError:
                self._take_away(descriptor)
                continue
            self._ignore, self._evictable = ignore, evictable
            self.kept += 1
            return True
        self.is_cached = False
        return False

    def drop(self, descriptor: int) -> None:
        """Let a file be asked about again: it was open for writing."""
        self._take_away(descriptor)

    def pass_essential(self, descriptor: int) -> None:
        """Mark an essential file again: somebody wrote to it, or it has a new inode."""
        for ignore, _ in _WAYS[1:]:
            try:
                self._calls.mark_file(
                    self._group, FAN_MARK_ADD | ignore, OPEN_EXEC_PERM, descriptor
                )
            except OSError:
                continue
            return

    def _forget(self) -> list[str]:
        """Let every file be asked about again but the essential ones; returns problems."""
        self._calls.flush(self._group, FAN_MARK_INODE)
        self.kept = 0
        problems: list[str] = []
        self.essential = {}
        for path in sorted(self._paths):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except FileNotFoundError:
                continue
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")
                continue
            self.essential[identity(os.fstat(descriptor))] = path
            self.pass_essential(descriptor)
            os.close(descriptor)
        return problems

    def _watch(self, flags: int, directory: str) -> str:
        """Begin or end to watch a file system; returns the problem in words, "" for none."""
        try:
            self._calls.mark_path(
                self._group, flags | FAN_MARK_FILESYSTEM, OPEN_EXEC_PERM, directory
            )
        except OSError as error:
            return f"{directory}: {error.strerror}"
        return ""

    def _take_away(self, descriptor: int) -> None:
        for ignore, mask in ((self._ignore, OPEN_EXEC_PERM), (0, CLOSE_WRITE)):
            try:
                self._calls.mark_file(self._group, FAN_MARK_REMOVE | ignore, mask, descriptor)
            except OSError:  # ENOENT: there is no such mark (any more)
                continue
