"""The inotify watches on the folders of the watched trees: which descriptor is which folder.

Rule 1: bounded, since each watch pins kernel memory (about 1.1 KB of inode and name): folders
beyond the bound are blind spots, told by number.
Rule 2: a folder is listed after it is watched, never before: what was made in between is found.
Rule 3: links are not followed, and what the kernel makes up or another host serves is not entered.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import Final, Protocol

DIRECTORIES_MAX: Final = 16_384
SPARE_PART: Final = 8
"""One in so many is kept for folders made later: an attack makes new ones, old ones stay."""
SPOTS_MAX: Final = 20


class Watcher(Protocol):
    """What is needed of inotify_simple.INotify."""

    def add_watch(self, path: str, mask: int) -> int:
        """Watch a path; OSError when it cannot be."""
        ...

    def rm_watch(self, wd: int) -> None:
        """Stop watching; OSError when it is gone already."""
        ...


class WatchTree:
    """Folder by watch descriptor and back.

    Args:
        watcher: the inotify instance.
        mask: what to ask for.
        left_out: real paths of folders that are never entered.
    """

    def __init__(
        self, watcher: Watcher, mask: int, left_out: Collection[str], limit: int = DIRECTORIES_MAX
    ) -> None:
        self._watcher = watcher
        self._mask = mask
        self._left_out = left_out
        self._limit = limit
        self._path_of: dict[int, str] = {}
        self._descriptor_of: dict[str, int] = {}
        self._spots: list[str] = []
        self.unwatched = 0

    def __len__(self) -> int:
        return len(self._path_of)

    def __contains__(self, path: str) -> bool:
        return path in self._descriptor_of

    @property
    def blind_spots(self) -> tuple[str, ...]:
        """The first folders that could not be watched, each with the reason, and their number."""
        more = self.unwatched - len(self._spots)
        return (*self._spots, f"and {more} more folders") if more > 0 else tuple(self._spots)

    def path(self, descriptor: int) -> str | None:
        """The folder of a watch, or None for one that is gone."""
        return self._path_of.get(descriptor)

    def add(self, path: str, *, is_new: bool = True) -> bool:
        """Watch one folder; False when it cannot be, which is kept as a blind spot.

        Args:
            path: the folder.
            is_new: it may have one of the watches that are kept for folders made later.
        """
        if path in self._left_out:
            return False
        most = self._limit - (0 if is_new else self._limit // SPARE_PART)
        if len(self._path_of) >= most and path not in self._descriptor_of:
            self._miss(path, f"more than {self._limit} folders to watch")
            return False
        try:
            descriptor = self._watcher.add_watch(path, self._mask)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
                self._miss(path, _reason(error))
            return False
        before = self._path_of.get(descriptor)
        if before is not None and self._descriptor_of.get(before) == descriptor:
            del self._descriptor_of[before]
        self._path_of[descriptor] = path
        self._descriptor_of[path] = descriptor
        return True

    def add_trees(self, tops: Iterable[str], *, is_new: bool = True) -> Iterator[tuple[str, bool]]:
        """Watch folders and all below them, the nearest first: at the limit the deepest give way.

        All trees are entered side by side, so that a large one takes no watch from the top of
        another.

        Args:
            tops: the folders.
            is_new: as `add` takes it.

        Yields:
            Every path found below, and whether it is a folder.
        """
        waiting = deque(tops)
        while waiting:
            folder = waiting.popleft()
            if not self.add(folder, is_new=is_new):
                continue
            for path, is_directory in self._children(folder):
                if is_directory:
                    waiting.append(path)
                yield path, is_directory

    def forget(self, descriptor: int) -> None:
        """The kernel gave this watch up (IN_IGNORED)."""
        path = self._path_of.pop(descriptor, None)
        if path is not None and self._descriptor_of.get(path) == descriptor:
            del self._descriptor_of[path]

    def moved(self, old: str, new: str) -> None:
        """A folder and all below it have another path; the watches stay with them."""
        for path, descriptor in self._below(old):
            del self._descriptor_of[path]
            renamed = new + path[len(old) :]
            self._path_of[descriptor] = renamed
            self._descriptor_of[renamed] = descriptor

    def drop(self, top: str) -> None:
        """Stop watching a folder and all below it: it left the trees."""
        for path, descriptor in self._below(top):
            del self._descriptor_of[path]
            del self._path_of[descriptor]
            try:
                self._watcher.rm_watch(descriptor)
            except OSError as error:
                if error.errno != errno.EINVAL:  # gone already
                    self._miss(path, _reason(error))

    def _below(self, top: str) -> list[tuple[str, int]]:
        below = top + "/"
        items = self._descriptor_of.items()
        return [item for item in items if item[0] == top or item[0].startswith(below)]

    def _children(self, folder: str) -> Iterator[tuple[str, bool]]:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    yield entry.path, entry.is_dir(follow_symlinks=False)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
                self._miss(folder, _reason(error))

    def _miss(self, path: str, reason: str) -> None:
        self.unwatched += 1
        if len(self._spots) < SPOTS_MAX:
            self._spots.append(f"{path}: {reason}")


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "no watch left: raise fs.inotify.max_user_watches"
    return error.strerror or "unknown error"
