"""Finds the folder of a path step by step and holds on to it, so that nobody can lead us elsewhere.

Rule 1: a link on the way is followed only where nobody but root can have put it there or can
replace it; the last name is never followed.
Rule 2: what another host or a user's process serves is not entered: it would answer as it likes,
or never.
Rule 3: whoever holds a place works with its descriptor: a folder moved or replaced afterwards
changes nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from vedette.codec.mountinfo import Mount, is_remote, parse_mounts
from vedette.codec.text import escape, quoted, shorten
from vedette.errors import ResponseError
from vedette.responses._file_calls import mount_of

LINKS_MAX: Final = 40
"""path_resolution(7) gives up there as well."""
STEPS_MAX: Final = 512

_FOLDER: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


PATH_SHOWN: Final = 120
"""Characters of a path in what people are told, of which there may be two."""


class RefusedError(ResponseError):
    """The target may not be touched, or is no longer the one that was meant."""


def shown(path: str) -> str:
    """A path for people: escaped, and with its middle left out where it is long."""
    return shorten(escape(path), PATH_SHOWN)


class Place(NamedTuple):
    """A name in a folder that is held open.

    Attributes:
        folder: O_PATH descriptor of the folder.
        name: the last component, which may be there or not.
        path: without a link in it but for the last component.
        mount: id of the mount that the folder is reached through.
        is_guarded: nobody but root can have replaced one of the folders on the way.
    """

    folder: int
    name: str
    path: str
    mount: int
    is_guarded: bool

    @property
    def identity(self) -> str:
        """Which folder this is; the same over a reboot where the file system can tell."""
        status = os.fstat(self.folder)
        return f"{os.fstatvfs(self.folder).f_fsid:x}:{status.st_ino:x}"

    def mount_point(self) -> str:
        """Where the file system that holds the folder is mounted; the same over a reboot."""
        mount = _mounts().get(self.mount)
        return mount.point if mount is not None else ""

    def status(self) -> os.stat_result | None:
        """What has the name now, or None."""
        try:
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None


@contextmanager
def held(path: str) -> Iterator[Place]:
    """The place that an absolute path names, as long as the caller works with it.

    Raises:
        RefusedError: the way leads over a link that others could have put there, or to another
            host or a user's process.
        OSError: a folder on the way is not there or cannot be entered.
    """
    names = [name for name in path.split("/") if name not in {"", "."}]
    if not path.startswith("/") or not names or "\0" in path or names[-1] == "..":
        raise RefusedError(f"expected the absolute path of a file, got {quoted(path, PATH_SHOWN)}")
    walk = _Walk()
    try:
        walk.go(names[:-1])
        yield Place(walk.folder, names[-1], walk.path(names[-1]), walk.mount, walk.is_guarded)
    finally:
        os.close(walk.folder)


class _Walk:
    """One way from the root downwards."""

    def __init__(self) -> None:
        self.folder = os.open("/", _FOLDER | os.O_DIRECTORY)
        self.mount = mount_of(self.folder)
        self.is_guarded = True
        self._names: list[str] = []
        self._links = LINKS_MAX

    def path(self, name: str) -> str:
        return "/" + "/".join([*self._names, name])

    def go(self, names: list[str]) -> None:
        """Follow all names, those that links bring in included."""
        waiting = names[::-1]
        steps = STEPS_MAX
        while waiting:
            steps -= 1
            if steps < 0:
                raise OSError(errno.ELOOP, f"more than {STEPS_MAX} folders on the way")
            waiting.extend(self._step(waiting.pop()))

    def _step(self, name: str) -> list[str]:
        """Enter one name; returns what a link there stands for, last component first."""
        found = os.open(name, _FOLDER, dir_fd=self.folder)
        try:
            status = os.fstat(found)
            is_guarded = _is_guarded(status, os.fstat(self.folder))
            if stat.S_ISLNK(status.st_mode):
                return self._follow(name, found, is_guarded=is_guarded)
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "not a folder", self.path(name))
            self._enter(name, found)
            self.is_guarded = self.is_guarded and is_guarded
            found = -1
        finally:
            if found >= 0:
                os.close(found)
        return []

    def _enter(self, name: str, found: int) -> None:
        mount = mount_of(found)
        if mount != self.mount:
            _refuse_remote(mount, self.path(name))
        os.close(self.folder)
        self.folder, self.mount = found, mount
        if name != "..":
            self._names.append(name)
        elif self._names:
            self._names.pop()

    def _follow(self, name: str, link: int, *, is_guarded: bool) -> list[str]:
        self._links -= 1
        if not is_guarded or not self.is_guarded:
            raise RefusedError(
                f"{shown(self.path(name))} is a link that others than root can put there or "
                "replace: it is not followed; name the path behind it"
            )
        if self._links < 0:
            raise OSError(errno.ELOOP, f"more than {LINKS_MAX} links on the way")
        text = os.readlink("", dir_fd=link)
        if text.startswith("/"):
            os.close(self.folder)
            self.folder = os.open("/", _FOLDER | os.O_DIRECTORY)
            self.mount, self._names = mount_of(self.folder), []
        return [part for part in text.split("/") if part not in {"", "."}][::-1]


def _is_guarded(status: os.stat_result, folder: os.stat_result) -> bool:
    """Whether only root can have put something in a folder, and only root can replace it."""
    ours = (0, os.geteuid())
    if status.st_uid not in ours or folder.st_uid not in ours:
        return False
    return not folder.st_mode & _OTHERS_WRITE or bool(folder.st_mode & stat.S_ISVTX)


def _refuse_remote(mount: int, path: str) -> None:
    found = _mounts().get(mount)
    kind = found.kind if found is not None else "unknown"
    if is_remote(kind):
        raise RefusedError(
            f"{shown(path)} is served by another host or a user's process ({escape(kind)}): "
            "respond where the files are kept"
        )


def _mounts() -> dict[int, Mount]:
    with open("/proc/self/mountinfo", "rb") as file:  # noqa: PTH123
        return {one.mount_id: one for one in parse_mounts(file.read())}
