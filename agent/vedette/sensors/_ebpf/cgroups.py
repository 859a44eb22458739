"""The cgroup v2 hierarchy: where it is mounted, and the paths behind the numbers in records.

Rule 1: a number is looked up once, by the handle that it is (kernfs: FILEID_KERNFS); what cannot be
looked up is "", never a guess.
Rule 2: bounded: beyond MAX_KNOWN numbers all are forgotten and looked up again.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

from vedette.codec.mountinfo import parse_mounts
from vedette.errors import ParseError
from vedette.sensors._libc import FanotifyCalls

MAX_KNOWN: Final = 256
MOUNTS: Final = Path("/proc/self/mountinfo")

_FILEID_KERNFS: Final = 0xFE  # linux/exportfs.h
_HANDLE: Final = struct.Struct("=IiQ")
_ROOT_ID: Final = 1


class Cgroups:
    """Open it with `open`; until then and where there is no hierarchy it knows no path.

    Attributes:
        fd: a descriptor of the hierarchy's root, or -1.
    """

    def __init__(self) -> None:
        self.fd = -1
        self._root = ""
        self._known: dict[int, str] = {}
        self._calls: FanotifyCalls | None = None

    def open(self) -> bool:
        """Find the hierarchy; whether there is one."""
        point = mount_point()
        if not point:
            return False
        try:
            self.fd = os.open(point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._calls = FanotifyCalls()
        except OSError:
            self.close()
            return False
        self._root = point
        return True

    def path_of(self, number: int) -> str:
        """The path of a cgroup within the hierarchy, such as "/system.slice/cron.service"."""
        known = self._known.get(number)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[number] = self._look_up(number)
        return known

    def close(self) -> None:
        """Close the descriptor. Safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self._calls = None

    def _look_up(self, number: int) -> str:
        if self._calls is None:
            return ""
        if number == _ROOT_ID:
            return "/"
        handle = _HANDLE.pack(8, _FILEID_KERNFS, number)
        try:
            found = self._calls.open_by_handle(self.fd, handle)
        except OSError:
            return ""
        try:
            path = os.readlink(f"/proc/self/fd/{found}")  # noqa: PTH115 - once for a cgroup
        except OSError:
            return ""
        finally:
            os.close(found)
        return path.removeprefix(self._root)


def mount_point() -> str:
    """Where cgroup v2 is mounted, "" where it is not."""
    try:
        mounts = parse_mounts(MOUNTS.read_bytes())
    except (OSError, ParseError):
        return ""
    return next((mount.point for mount in mounts if mount.kind == "cgroup2"), "")
