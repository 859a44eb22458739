"""Which mounted file systems hold the watched trees, and which of them cannot be watched.

Rule 1: a file system is looked up by path whenever it is needed and no descriptor of it is kept:
an open directory would forbid its owner to unmount it.
Rule 2: remote file systems are left out: others change them unseen by this kernel, and a dead
server would hold whoever asks.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from vedette.codec.mountinfo import PSEUDO, Mount, is_remote, parse_mounts
from vedette.sensors._trees import Trees, nearest_existing

MOUNTINFO: Final = Path("/proc/self/mountinfo")

_FSID = struct.Struct("=II")


class Filesystem(NamedTuple):
    """A file system that holds watched files.

    `directory` is a directory on it through which it is reached, `fsid` is statfs(2) f_fsid as
    fanotify events carry it. `holds_root` is False for one mounted below a watched tree.
    """

    directory: str
    kind: str
    fsid: bytes
    device: int
    is_read_only: bool
    holds_root: bool


def read_mounts() -> list[Mount]:
    """The mounts of this process's namespace.

    Raises:
        OSError: /proc is not mounted.
        ParseError: the kernel wrote what proc(5) does not describe.
    """
    return parse_mounts(MOUNTINFO.read_bytes())


def filesystems_of(trees: Trees, mounts: Sequence[Mount]) -> tuple[list[Filesystem], list[str]]:
    """The file systems to watch, one entry for each place a tree sees them from.

    Returns:
        The file systems and, one line each, what is left out and why.
    """
    found: dict[tuple[str, str], Filesystem] = {}
    left_out: list[str] = []
    for root in trees.roots:
        start = nearest_existing(root)
        directory = start if Path(start).is_dir() else str(Path(start).parent)
        _take(_holder(directory, mounts), directory, found, left_out, is_root=True)
        below = root if root.endswith("/") else root + "/"
        for mount in mounts:
            if mount.point.startswith(below) and mount.kind not in PSEUDO:
                _take(mount, mount.point, found, left_out, is_root=False)
    return list(found.values()), left_out


def is_there(filesystem: Filesystem) -> bool:
    """Whether it is still mounted where it was; a device number alone is used again."""
    try:
        return _fsid(os.statvfs(filesystem.directory)) == filesystem.fsid
    except OSError:
        return False


def _fsid(status: os.statvfs_result) -> bytes:
    return _FSID.pack(status.f_fsid & 0xFFFF_FFFF, status.f_fsid >> 32 & 0xFFFF_FFFF)


def _holder(directory: str, mounts: Sequence[Mount]) -> Mount | None:
    best: Mount | None = None
    for mount in mounts:
        point = mount.point if mount.point.endswith("/") else mount.point + "/"
        is_above = (directory + "/").startswith(point)
        if is_above and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def _take(
    mount: Mount | None,
    directory: str,
    found: dict[tuple[str, str], Filesystem],
    left_out: list[str],
    *,
    is_root: bool,
) -> None:
    kind = mount.kind if mount else "unknown"
    if is_remote(kind):
        left_out.append(f"{directory} ({kind}): changes made elsewhere are not seen by this kernel")
        return
    key = (mount.device if mount else "", mount.point if mount else "")
    known = found.get(key)
    if known is not None:
        found[key] = known._replace(holds_root=known.holds_root or is_root)
        return
    try:
        device = Path(directory).stat().st_dev
        if mount is not None and Path(mount.point).stat().st_dev == device:
            directory = mount.point  # stays when the tree itself is renamed or removed
        status = os.statvfs(directory)
    except OSError as error:
        left_out.append(f"{directory} ({kind}): {error.strerror}")
        return
    fsid = _fsid(status)
    is_read_only = bool(status.f_flag & os.ST_RDONLY)
    found[key] = Filesystem(directory, kind, fsid, device, is_read_only, is_root)
