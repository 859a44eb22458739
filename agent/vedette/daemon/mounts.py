"""Which file system a folder lies on.

Rule: what cannot be read is unknown, never an error: the answer decides what is told, not what is
done.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from vedette.codec.mountinfo import Mount, parse_mounts
from vedette.errors import ParseError

MOUNTINFO: Final = Path("/proc/self/mountinfo")
IN_MEMORY: Final = frozenset({"ramfs", "tmpfs"})
"""An overlay may lie on either: it is told by `vedette doctor` alone."""


def mount_of(path: Path, mountinfo: Path = MOUNTINFO) -> Mount | None:
    """The mount with this file or folder, which must exist; None where it is not known."""
    try:
        mounts = parse_mounts(mountinfo.read_bytes())
    except (OSError, ParseError):
        return None
    number = path.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    same = [mount for mount in mounts if mount.device == device]
    return same[-1] if same else None


def is_in_memory(path: Path, mountinfo: Path = MOUNTINFO) -> bool:
    """Whether what is written there is surely gone after the next start of the device."""
    mount = mount_of(path, mountinfo)
    return mount is not None and mount.kind in IN_MEMORY
