"""Turns what a directory watch saw of one path into FileChanged events.

Rule 1: mask bits merged by the kernel become one event each, in the order a file lives; what the
true order was nobody knows.
Rule 2: mode and owner are those of the path when the event is handled, by lstat: best effort, never
through a link. A file that is gone by then has -1 for both.
Rule 3: attributes of a file that is gone are no news: its removal is told anyway.
"""

from __future__ import annotations

import os
from typing import Final

from vedette.codec.fanotify import ATTRIB, CLOSE_WRITE, CREATE, DELETE
from vedette.model.event import FileAction, FileChanged

Actions = tuple[FileAction, ...]

_BITS: Final[tuple[tuple[int, FileAction], ...]] = (
    (CREATE, "created"),
    (CLOSE_WRITE, "modified"),
    (ATTRIB, "attributes"),
    (DELETE, "deleted"),
)
_ALL: Final = CREATE | CLOSE_WRITE | ATTRIB | DELETE


def _actions(mask: int) -> Actions:
    return tuple(action for bit, action in _BITS if mask & bit)


_ACTIONS: Final = {mask: _actions(mask) for mask in range(_ALL + 1) if mask & ~_ALL == 0}
"""Sixteen answers made once; inotify and fanotify use the same bits."""


def changes(
    mask: int, at_s: float, tier: str, path: str, pid: int, *, is_directory: bool
) -> list[FileChanged]:
    """The events that a mask of CREATE, CLOSE_WRITE, ATTRIB and DELETE stands for."""
    actions = _ACTIONS[mask & _ALL]
    if actions == ("deleted",):
        return [FileChanged(at_s, tier, "deleted", path, "", pid, -1, -1, is_directory, "")]
    mode, uid = mode_and_owner(path)
    if mode < 0 or mask & DELETE:
        actions = _ACTIONS[mask & (_ALL ^ ATTRIB)]
    return [
        FileChanged(at_s, tier, action, path, "", pid, mode, uid, is_directory, "")
        for action in actions
    ]


def renamed(
    at_s: float, tier: str, path: str, old_path: str, pid: int, *, is_directory: bool
) -> FileChanged:
    """One rename, within the trees or across their edge."""
    mode, uid = mode_and_owner(path)
    return FileChanged(at_s, tier, "renamed", path, old_path, pid, mode, uid, is_directory, "")


def mode_and_owner(path: str) -> tuple[int, int]:
    """st_mode and st_uid of a path itself, or (-1, -1) where it cannot be looked at."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):  # gone, longer than PATH_MAX, or not a path at all
        return -1, -1
    return status.st_mode, status.st_uid
