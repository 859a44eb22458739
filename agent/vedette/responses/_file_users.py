"""Who uses a file at this moment, as /proc shows it.

Rule: a process that ended meanwhile uses nothing, and one that cannot be read is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable


def mapped_by(pids: Iterable[int], status: os.stat_result, path: str) -> int:
    """The first of these processes that has a file mapped (its program, a library), or 0.

    Compared by device and inode, and by path where a file system shows other devices in maps.
    """
    names = os.fsencode(path)
    for pid in pids:
        for line in _maps(pid):
            # proc(5): address, permissions, offset, device, inode, path
            fields = line.split(None, 5)
            if len(fields) < 6:  # noqa: PLR2004
                continue
            is_same = int(fields[4]) == status.st_ino and _device(fields[3]) == status.st_dev
            if is_same or fields[5] == names:
                return pid
    return 0


def running(status: os.stat_result) -> list[int]:
    """The processes whose program this file is."""
    found: list[int] = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit():
            continue
        try:
            program = os.stat(f"/proc/{name}/exe")  # noqa: PTH116
        except OSError:
            continue
        if os.path.samestat(program, status):
            found.append(int(name))
    return found


def _maps(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:  # noqa: PTH123
            return file.read().splitlines()
    except OSError:
        return []


def _device(field: bytes) -> int:
    major, _, minor = field.partition(b":")
    return os.makedev(int(major, 16), int(minor, 16))
