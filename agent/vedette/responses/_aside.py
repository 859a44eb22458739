"""Folders of ours that nobody else can enter, made beside the place of a file for a short while.

Rule 1: only on its own file system can a file be moved as it is, in one step.
Rule 2: one that somebody else made or opened to others is refused, never used.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from vedette.responses._place import Place, RefusedError

BESIDE: Final = ".vedette-"
CONTENT: Final = "content"
"""The file that was taken."""
RETURNING: Final = "returning"
"""One that is being made, to be put into the place."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def beside_of(key: str, place: Place) -> str:
    """The path of the folder beside a place."""
    return f"{place.path.rpartition('/')[0]}/{BESIDE}{key}"


@contextmanager
def made_beside(key: str, place: Place) -> Iterator[int]:
    """Descriptor of the folder beside a place, which is made where there is none."""
    with suppress(FileExistsError):
        os.mkdir(BESIDE + key, 0o700, dir_fd=place.folder)
    with beside_at(key, place) as beside:
        if beside < 0:
            raise FileNotFoundError(errno.ENOENT, "it was removed at once", beside_of(key, place))
        yield beside


@contextmanager
def beside_at(key: str, place: Place) -> Iterator[int]:
    """Descriptor of the folder beside a place, -1 where there is none."""
    try:
        descriptor = os.open(BESIDE + key, _FOLDER, dir_fd=place.folder)
    except FileNotFoundError:
        yield -1
        return
    try:
        check_private(descriptor, beside_of(key, place))
        yield descriptor
    finally:
        os.close(descriptor)


def check_private(descriptor: int, path: str) -> None:
    """Refuse a folder that others own or can enter."""
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise RefusedError(
            f"{path}: expected a folder that only uid {os.geteuid()} can enter, got "
            f"{stat.filemode(status.st_mode)} of uid {status.st_uid}: remove it"
        )


def remove_beside(key: str, place: Place) -> None:
    """Remove the folder beside a place, if nothing lies in it."""
    with beside_at(key, place) as beside:
        if beside < 0:
            return
        remove(RETURNING, beside)
    try:
        os.rmdir(BESIDE + key, dir_fd=place.folder)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.ENOENT}:
            raise


def remove(name: str, folder: int) -> None:
    """Remove a file of ours, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def status_of(name: str, folder: int) -> os.stat_result | None:
    """What has this name, a link itself, or None."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
