"""The system calls that an enclosure needs and Python 3.11 does not offer, through libc.

Rule: every failure is an OSError with its number and what was asked of the kernel.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000
"""linux/sched.h"""

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x4_0000
"""linux/mount.h"""

_MNT_DETACH = 2
_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "armv7l": 218, "armv8l": 218, "i686": 217}
"""By `uname -m`; libc has no wrapper for it."""

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` name for new ones (unshare(2))."""
    _check(_libc.unshare(flags), f"unshare {flags:#x}")


def setns(descriptor: int, kind: int) -> None:
    """Join the namespace that a descriptor of /proc/PID/ns/... names (setns(2))."""
    _check(_libc.setns(descriptor, kind), f"setns {kind:#x}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount a file system, or change how one is mounted (the man page has the arguments)."""
    texts = [os.fsencode(text) or None for text in (source, target, kind)]
    data = os.fsencode(options) or None
    _check(_libc.mount(*texts, ctypes.c_ulong(flags), data), f"mount {kind or source} on {target}")


def unmount(target: str) -> None:
    """Take a mount away at once; who still uses it keeps it until then (umount2(2))."""
    _check(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"umount of {target}")


def bind(source: str, target: str, *, is_read_only: bool = False) -> None:
    """Show a file or folder at a second place; what is mounted below it is not shown there."""
    mount(source, target, flags=MS_BIND)
    if is_read_only:
        mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def enter_root(folder: str) -> None:
    """Make a mount point the root of this process and drop the old one (pivot_root(2))."""
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"pivot_root: number unknown on {platform.machine()}")
    os.chdir(folder)
    # "." for both: the old root is stacked above the new one, and detached there (NOTES).
    _check(_libc.syscall(number, b".", b"."), f"pivot_root to {folder}")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount of the old root")
    os.chdir("/")


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends (prctl(2))."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "prctl PR_SET_PDEATHSIG")


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
