"""Opens the file that an order means, and refuses what is not the one that was judged."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from vedette.errors import ResponseError
from vedette.model.response import FileTarget, Order, UndoRecord
from vedette.responses._file_calls import mount_of, reopened
from vedette.responses._place import Place, RefusedError, held, shown
from vedette.responses._twin import HASH_BYTES_MAX, digest_of, is_regular

_LOOK: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Opened(NamedTuple):
    """A file in its place: `file` is a descriptor to read it by, `status` what fstat said."""

    place: Place
    file: int
    status: os.stat_result


@contextmanager
def opened(path: str) -> Iterator[Opened]:
    """Open a file to read it, without touching anything that is no regular file.

    Raises:
        RefusedError: it is none, something is mounted on it, or the way there is not safe.
        OSError: it is not there or cannot be read.
    """
    with held(path) as place, opened_at(place) as found:
        yield found


@contextmanager
def opened_at(place: Place) -> Iterator[Opened]:
    """The same in a place that is held already."""
    look = os.open(place.name, _LOOK, dir_fd=place.folder)
    try:
        status = os.fstat(look)
        if not is_regular(status):
            raise RefusedError(
                f"expected a file at {shown(place.path)}, got {stat.filemode(status.st_mode)}"
            )
        if mount_of(look) != place.mount:
            raise RefusedError(f"something is mounted on {shown(place.path)}: unmount it first")
        file = reopened(look)
    finally:
        os.close(look)
    try:
        yield Opened(place, file, status)
    finally:
        os.close(file)


def file_target(order: Order) -> FileTarget:
    """The file of an order.

    Raises:
        ResponseError: it means something else.
    """
    if not isinstance(order.target, FileTarget):
        raise ResponseError(
            f"{order.responder}: expected a file, got {type(order.target).__name__}"
        )
    return order.target


def judge(found: Opened, target: FileTarget) -> None:
    """Refuse a file that does not have the digest it was judged by."""
    if not target.sha256:
        return
    digest = digest_of(found.file)
    if digest != target.sha256:
        instead = digest or f"a file above {HASH_BYTES_MAX >> 20} MB"
        raise RefusedError(
            f"{shown(target.path)} is not the file that was judged: expected SHA-256 "
            f"{target.sha256}, got {instead}"
        )


def identity(status: os.stat_result) -> str:
    """Which file of which file system this is."""
    return f"{status.st_dev:x}:{status.st_ino:x}"


def refuse_own(path: str, own: tuple[str, ...]) -> None:
    """Refuse what lies at or below one of the agent's own files and folders."""
    for untouchable in own:
        plain = untouchable.rstrip("/")
        if path == plain or path.startswith(plain + "/"):
            raise RefusedError(f"{shown(path)} is the agent's own: never touched")


def folder_of(place: Place) -> dict[str, str | int]:
    """What a record holds of a folder, for `refuse_other_folder`."""
    return {"folder": place.identity, "mount": place.mount_point()}


def refuse_other_folder(place: Place, record: UndoRecord) -> None:
    """Refuse to bring something back into a folder that is not the one it was taken from."""
    if place.mount_point() != record["mount"]:
        raise RefusedError(
            f"{shown(place.path)} lay on what is mounted on {shown(str(record['mount']))}: mount "
            "that and undo again"
        )
    # One that only root can have replaced was replaced by a reboot (of a file system in memory).
    if not place.is_guarded and place.identity != record["folder"]:
        raise RefusedError(
            f"the folder of {shown(place.path)} is not the one that it was taken from, and others "
            "than root can have replaced it: bring that one back and undo again"
        )
