"""The four system calls of fanotify that the standard library does not offer, through libc.

Rule: every failure is an OSError with its number; no call blocks.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

FAN_CLOEXEC: Final = 0x1
FAN_NONBLOCK: Final = 0x2
FAN_REPORT_FID: Final = 0x200
FAN_REPORT_DFID_NAME: Final = 0xC00
FAN_REPORT_TARGET_FID: Final = 0x1000
FAN_MARK_ADD: Final = 0x1
FAN_MARK_FILESYSTEM: Final = 0x100
AT_FDCWD: Final = -100


class FanotifyCalls:
    """libc's fanotify_init(2), fanotify_mark(2) and open_by_handle_at(2).

    Raises:
        OSError: this libc lacks one of them (ENOSYS).
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._init = libc.fanotify_init
            self._mark = libc.fanotify_mark
            self._open = libc.open_by_handle_at
        except AttributeError as error:
            raise OSError(38, f"this libc has no fanotify: {error}") from error
        self._init.argtypes = (ctypes.c_uint, ctypes.c_uint)
        self._mark.argtypes = (
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint64,  # the mask is 64 bits wide on every architecture
            ctypes.c_int,
            ctypes.c_char_p,
        )
        self._open.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int)

    def init(self, flags: int) -> int:
        """Make a group; returns its descriptor (nonblocking, closed on exec)."""
        return _checked(self._init(flags | FAN_CLOEXEC | FAN_NONBLOCK, os.O_RDONLY))

    def mark_filesystem(self, group: int, mask: int, path: str) -> None:
        """Watch the whole file system that holds a path; doing it twice changes nothing."""
        flags = FAN_MARK_ADD | FAN_MARK_FILESYSTEM
        _checked(self._mark(group, flags, mask, AT_FDCWD, os.fsencode(path)))

    def mark_file(self, group: int, mask: int, path: str) -> None:
        """Watch one file, or a folder; doing it twice changes nothing."""
        _checked(self._mark(group, FAN_MARK_ADD, mask, AT_FDCWD, os.fsencode(path)))

    def open_by_handle(self, mount: int, handle: bytes) -> int:
        """Open what a handle names as O_PATH; `handle` is a whole struct file_handle.

        The caller has checked that the length within is that of the bytes, which codec/fanotify
        does for every key: the kernel reads as far as the length says.
        """
        return _checked(self._open(mount, handle, os.O_PATH | os.O_CLOEXEC))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
