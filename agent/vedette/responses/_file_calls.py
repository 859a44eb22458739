"""What the standard library lacks for files: renames that never replace, flags, mounts.

Rule: every failure is an OSError with its number; nothing here follows a link.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from contextlib import suppress
from typing import Final

RENAME_NOREPLACE: Final = 1
RENAME_EXCHANGE: Final = 2
"""linux/fs.h; Linux 3.15."""

IMMUTABLE: Final = 0x10
APPEND_ONLY: Final = 0x20
_KEPT_FLAGS: Final = IMMUTABLE | APPEND_ONLY | 0x8 | 0x40 | 0x80
"""linux/fs.h: with SYNC, NODUMP and NOATIME, those of chattr(1) that file systems let be set."""

_LONG_BYTES: Final = struct.calcsize("l")
_GET_FLAGS: Final = 2 << 30 | _LONG_BYTES << 16 | ord("f") << 8 | 1
_SET_FLAGS: Final = 1 << 30 | _LONG_BYTES << 16 | ord("f") << 8 | 2
"""_IOR('f', 1, long) and _IOW('f', 2, long) of ioctl_iflags(2) on x86, ARM and RISC-V."""

_NO_FLAGS: Final = frozenset((errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS))
_RENAMEAT2: Final = {
    "x86_64": 316, "aarch64": 276, "riscv64": 276, "armv7l": 382, "armv6l": 382, "armv8l": 382,
    "i686": 353,
}  # fmt: skip
"""Numbers of renameat2(2) by `uname -m`, for a libc that has no function for it (musl)."""

_libc = ctypes.CDLL(None, use_errno=True)


def rename_new(name: str, folder: int, new_name: str, new_folder: int) -> None:
    """Move a file to a name that nothing has; FileExistsError leaves all as it was."""
    try:
        _rename(name, folder, new_name, new_folder, RENAME_NOREPLACE)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOSYS}:
            raise
        # This file system does not know the flag: link(2) does not replace either.
        os.link(name, new_name, src_dir_fd=folder, dst_dir_fd=new_folder, follow_symlinks=False)
        os.unlink(name, dir_fd=folder)


def exchange(name: str, folder: int, other_name: str, other_folder: int) -> None:
    """Let two files change places in one step: neither name is ever without a file."""
    _rename(name, folder, other_name, other_folder, RENAME_EXCHANGE)


def read_only(name: str, folder: int) -> int:
    """Open a file to read it: no link, and its access time stays what it was."""
    return _quietly(name, os.O_NOFOLLOW, folder)


def reopened(look: int) -> int:
    """Open to read the file that an O_PATH descriptor stands for, whatever has its name by now."""
    return _quietly(f"/proc/self/fd/{look}", 0, None)


def flags_of(descriptor: int) -> int:
    """The flags of chattr(1) that we bring back; 0 where the file system has none."""
    try:
        return _flags(descriptor) & _KEPT_FLAGS
    except OSError as error:
        if error.errno in _NO_FLAGS:
            return 0
        raise


def set_flags(descriptor: int, flags: int) -> None:
    """Give a file these flags of those that we bring back; the others stay."""
    if flags_of(descriptor) == flags:
        return
    wanted = (_flags(descriptor) & ~_KEPT_FLAGS) | flags
    fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", wanted))


def mount_of(descriptor: int) -> int:
    """The id of the mount through which a file was reached, as mountinfo has it.

    It asks the kernel alone, never the file system, which may be a user's process.
    """
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:  # noqa: PTH123
        for line in lines:
            if line.startswith("mnt_id:"):
                return int(line.split()[1])
    raise OSError(errno.ENOSYS, "expected a line mnt_id in /proc/self/fdinfo, got none")


def sync(folder: int) -> None:
    """Make the names in a folder durable as far as it can; `folder` may be an O_PATH descriptor.

    Where it cannot (no such call there, the folder was removed meanwhile) the state after a power
    cut is one of those before, from which an undo works as well.
    """
    with suppress(OSError):
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _quietly(path: str, extra: int, folder: int | None) -> int:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | extra
    try:
        return os.open(path, flags | os.O_NOATIME, dir_fd=folder)
    except PermissionError:  # O_NOATIME is the owner's and CAP_FOWNER's
        return os.open(path, flags, dir_fd=folder)


def _flags(descriptor: int) -> int:
    packed: bytes = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(_LONG_BYTES))
    # ioctl_iflags(2): an int in spite of the declaration.
    return int.from_bytes(packed[:4], "little")


def _rename(name: str, folder: int, new_name: str, new_folder: int, flags: int) -> None:
    arguments = (
        folder, os.fsencode(name), new_folder, os.fsencode(new_name), ctypes.c_uint(flags),
    )  # fmt: skip
    if hasattr(_libc, "renameat2"):
        result = _libc.renameat2(*arguments)
    else:
        number = _RENAMEAT2.get(os.uname().machine)
        if number is None:
            raise OSError(errno.ENOSYS, f"renameat2: number unknown on {os.uname().machine}")
        result = _libc.syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
