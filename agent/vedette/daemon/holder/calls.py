"""The system calls of holder and guardian that the standard library lacks, through libc.

Rule 1: every failure is an OSError with its number; no call blocks.
Rule 2: all that is needed later is looked up when this is made: the guardian opens nothing.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from struct import Struct

# Of fanotify_init(2) and fanotify_mark(2).
FAN_CLOEXEC = 0x1
FAN_NONBLOCK = 0x2
FAN_CLASS_CONTENT = 0x4
FAN_MARK_ADD = 0x1
FAN_MARK_REMOVE = 0x2
FAN_MARK_INODE = 0x0
FAN_MARK_MOUNT = 0x10
FAN_MARK_IGNORED_MASK = 0x20
FAN_MARK_FLUSH = 0x80
FAN_MARK_FILESYSTEM = 0x100
FAN_MARK_EVICTABLE = 0x200
FAN_MARK_IGNORE = 0x400
AT_FDCWD = -100

# mlockall(2): what is in memory stays there, and so does all that is touched from now on.
MCL_CURRENT = 1
MCL_FUTURE = 2
MCL_ONFAULT = 4

# Of prctl(2) and capset(2), from linux/capability.h.
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
CAPABILITY_VERSION_3 = 0x2008_0522
CAP_DAC_READ_SEARCH = 2
CAP_KILL = 5
CAP_IPC_LOCK = 14
CAP_SYS_ADMIN = 21
CAP_LEASE = 28
_HEADER = Struct("=Ii")
_SETS = Struct("=6I")

# fcntl(2): a read lease is given only while nobody has the file open for writing, mapped or not.
F_SETLEASE = 1024
# asm-generic/ioctls.h; mips, sparc and powerpc have other numbers.
FIONREAD = 0x541B

SIGKILL = 9
SIGIO = 29
SIG_IGN = 1


class Calls:
    """The calls.

    Raises:
        OSError: this libc has no fanotify (ENOSYS).
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._init = libc.fanotify_init
            self._mark = libc.fanotify_mark
        except AttributeError as error:
            raise OSError(38, f"this libc has no fanotify: {error}") from error
        self._libc = libc
        self._init.argtypes = (ctypes.c_uint, ctypes.c_uint)
        self._mark.argtypes = (
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint64,  # the mask is 64 bits wide on every architecture
            ctypes.c_int,
            ctypes.c_char_p,
        )
        self._prctl = libc.prctl
        self._mlockall = libc.mlockall

    def group(self) -> int:
        """A group that decides on executions: nonblocking, closed on exec, bounded queue."""
        flags = FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK
        # Without O_LARGEFILE the kernel denies, on 32 bit, what is larger than 2 GB.
        return _checked(self._init(flags, os.O_RDONLY | os.O_LARGEFILE | os.O_CLOEXEC))

    def mark_path(self, group: int, flags: int, mask: int, path: str) -> None:
        """fanotify_mark on what a path leads to."""
        _checked(self._mark(group, flags, mask, AT_FDCWD, os.fsencode(path)))

    def mark_file(self, group: int, flags: int, mask: int, descriptor: int) -> None:
        """fanotify_mark on an open file."""
        _checked(self._mark(group, flags, mask, descriptor, None))

    def flush(self, group: int, kind: int) -> None:
        """Take all marks of one kind away."""
        _checked(self._mark(group, FAN_MARK_FLUSH | kind, 0, AT_FDCWD, b"/"))

    def lock_memory(self) -> None:
        """Keep in memory what this process has touched and will touch."""
        _checked(self._mlockall(ctypes.c_int(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)))

    def die_with_parent(self, parent: int) -> None:
        """Get SIGKILL when the parent ends; at once if it is gone already."""
        self._control(PR_SET_PDEATHSIG, SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), SIGKILL)

    def forbid_dumps(self) -> None:
        """Nobody of the same user may look into this process."""
        self._control(PR_SET_DUMPABLE, 0)

    def ignore_lease_breaks(self) -> None:
        """A writer who waits for our lease sends SIGIO, which would end this process."""
        self._libc.signal(ctypes.c_int(SIGIO), ctypes.c_void_p(SIG_IGN))

    def keep_only(self, capabilities: tuple[int, ...]) -> None:
        """Give all other capabilities up for good."""
        bits = 0
        for number in capabilities:
            bits |= 1 << number
        header = ctypes.create_string_buffer(_HEADER.pack(CAPABILITY_VERSION_3, 0))
        old = ctypes.create_string_buffer(_SETS.size)
        _checked(self._libc.capget(header, old))
        permitted = _SETS.unpack(old.raw)[1]
        kept = bits & permitted
        # Two words for each of effective, permitted and inheritable; ours are all in the first.
        sets = ctypes.create_string_buffer(_SETS.pack(kept, kept, 0, 0, 0, 0))
        _checked(self._libc.capset(header, sets))
        self._control(PR_SET_NO_NEW_PRIVS, 1)

    def _control(self, option: int, value: int) -> None:
        words = [ctypes.c_ulong(word) for word in (value, 0, 0, 0)]
        _checked(self._prctl(ctypes.c_int(option), *words))


def lease(descriptor: int) -> bool:
    """Take a read lease: as long as it is held nobody has the file open for writing.

    Returns:
        False where somebody has, or the file system gives no leases.
    """
    try:
        fcntl.fcntl(descriptor, F_SETLEASE, fcntl.F_RDLCK)
    except OSError:
        return False
    return True


def give_back(descriptor: int) -> None:
    """Give the lease back; whoever wants to write goes on."""
    fcntl.fcntl(descriptor, F_SETLEASE, fcntl.F_UNLCK)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
