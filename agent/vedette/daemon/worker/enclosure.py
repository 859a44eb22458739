"""What a runner is locked into: namespaces of its own, a view that is read-only, little of all.

Rule 1: each step that fails ends the worker: a model is never tried in half an enclosure.
Rule 2: what the model's content holds cannot be executed, nor mapped as code.
Rule 3: nobody reaches it and it reaches nobody: network, IPC and process ids are its own, and
sockets below /run are out of its view.
"""

from __future__ import annotations

import ctypes
import os
import resource
from contextlib import suppress

from vedette.daemon import privileges
from vedette.errors import DeviceError

# linux/sched.h
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
NAMESPACES = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET

# linux/mount.h
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV, ATTR_NOEXEC = 1, 2, 4, 8
MOUNT_SETATTR = 442
"""Its number, the same on all architectures (Linux 5.12)."""
AT_FDCWD = -100
AT_RECURSIVE = 0x8000

SCRATCH = "/dev/shm"  # noqa: S108 (a mount of the worker's own)
SCRATCH_OPTIONS = "size=16m,nr_inodes=256,mode=1777"
MAX_PROCESSES = 64
MAX_FILES = 256


class _Attributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "ns"))


def leave_the_others() -> None:
    """Own namespaces for this process and for the children that it makes from now on.

    Raises:
        DeviceError: the kernel has none, or we may not.
    """
    if _libc().unshare(NAMESPACES) != 0:
        raise DeviceError(
            f"golden tests need namespaces for network, mounts, processes and IPC: {_reason()}; "
            "build the kernel with CONFIG_NAMESPACES, CONFIG_NET_NS and CONFIG_PID_NS"
        )


def close_the_view(folder: str) -> None:
    """Make all that can be seen read-only; to be called by the first process of the namespaces.

    Args:
        folder: of the content that must not be executed.

    Raises:
        DeviceError: a part of it stayed writable.
    """
    _mount("none", "/", "", MS_REC | MS_PRIVATE, "")
    _attributes("/", ATTR_RDONLY | ATTR_NOSUID, AT_RECURSIVE)
    _mount(folder, folder, "", MS_BIND, "")
    _attributes(folder, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC, 0)
    locked = MS_NOSUID | MS_NODEV | MS_NOEXEC
    _mount("proc", "/proc", "proc", locked, "")
    for place in ("/run", SCRATCH):
        if os.path.isdir(place) and not folder.startswith(place + "/"):  # noqa: PTH112
            _mount("tmpfs", place, "tmpfs", locked, SCRATCH_OPTIONS)


def give_up(user: str) -> None:
    """Become the worker's user for good; never root.

    Raises:
        ConfigError: there is no such user.
        DeviceError: it is root, or something was left.
    """
    if privileges.account(user)[0] == 0:
        raise DeviceError("golden tests run as a user of their own, not as root: [updates] worker")
    privileges.become(user)
    left = privileges.current()
    if 0 in {left.uid, left.gid} or left.permitted or not left.no_new_privileges:
        raise DeviceError(f"expected a worker without privileges, it is {left}")
    privileges.forbid_dumps()


def limit(memory_bytes: int, cpu_s: int) -> None:
    """What the program that is executed next may use; `memory_bytes` of address space."""
    for kind, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_NPROC, MAX_PROCESSES),
        (resource.RLIMIT_NOFILE, MAX_FILES),
        (resource.RLIMIT_FSIZE, 16 << 20),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        most = min(most, resource.getrlimit(kind)[1] % (1 << 64))  # noqa: PLW2901 (-1 is none)
        resource.setrlimit(kind, (most, most))
    with suppress(OSError):
        os.nice(10)


def _mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    arguments = [word.encode() or None for word in (source, target, kind)]
    if _libc().mount(*arguments, ctypes.c_ulong(flags), options.encode() or None) != 0:
        raise DeviceError(f"golden tests: cannot mount {target}: {_reason()}")


def _attributes(target: str, wanted: int, flags: int) -> None:
    attributes = _Attributes(wanted, 0, 0, 0)
    size = ctypes.sizeof(attributes)
    call = (MOUNT_SETATTR, AT_FDCWD, target.encode(), flags, ctypes.byref(attributes), size)
    if _libc().syscall(*call) != 0:
        raise DeviceError(
            f"golden tests: {target} cannot be made read-only: {_reason()}; mount_setattr needs "
            "Linux 5.12"
        )


def _reason() -> str:
    return os.strerror(ctypes.get_errno())


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
