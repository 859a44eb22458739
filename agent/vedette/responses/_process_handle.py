"""Processes held by a descriptor: a pid that was used again can never be meant.

Rule 1: a pid is opened first and looked at after; what /proc says of it counts only where the
opened process still had it then (pidfd_open(2)).
Rule 2: descriptors are bounded, since a fork bomb has more processes than we may have files: beyond
MAX_OPEN a process is opened and checked anew for each signal.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from typing import Final, NamedTuple, Self

from vedette.codec.procfs import Layout, Stat, parse_layout, parse_stat
from vedette.errors import ParseError, ResponseError

MAX_OPEN: Final = 256
"""A quarter of the usual limit of 1024 descriptors."""
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
"""Of start times, proc(5) field 22."""
_STAT_BYTES: Final = 1024
_ENDED: Final = frozenset("ZXx")
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Seen(NamedTuple):
    """What /proc says of a process at one look."""

    stat: Stat
    layout: Layout | None


class ProcessHandle:
    """One process, for ever the same one.

    Attributes:
        stat, layout: as they were when it was opened; layout is None where it is withheld.
    """

    __slots__ = ("_descriptor", "layout", "stat")

    def __init__(self, seen: Seen, descriptor: int) -> None:
        self.stat, self.layout = seen
        self._descriptor = descriptor

    @property
    def pid(self) -> int:
        """Its number, which others may have after its end."""
        return self.stat.pid

    @property
    def descriptor(self) -> int:
        """The pidfd, or -1 where it is opened anew each time."""
        return self._descriptor

    def signal(self, number: int) -> bool:
        """Send it a signal; False when it has ended.

        Raises:
            ResponseError: the kernel does not let us.
        """
        if self._descriptor >= 0:
            return _send(self._descriptor, number, self.pid)
        again = open_process(self.pid)
        if again is None:
            return False
        with again:
            return again.is_same(self.stat.start_ticks) and again.signal(number)

    def is_same(self, start_ticks: int) -> bool:
        """Whether it is the process that began then."""
        return self.stat.start_ticks == start_ticks

    def has_ended(self) -> bool:
        """Whether it runs no more, collected or not."""
        if self._descriptor >= 0:
            return is_readable(self._descriptor)
        stat = read_stat(self.pid)
        if stat is None or not self.is_same(stat.start_ticks):
            return True
        return stat.state in _ENDED and len(read_tasks(self.pid)) <= 1

    def close(self) -> None:
        """Give the descriptor back; the process stays the same one by its start time."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_process(pid: int) -> ProcessHandle | None:
    """The process that has this pid now, or None where there is none that runs.

    One whose first thread has ended looks like a zombie and runs all the same.

    Raises:
        ResponseError: this kernel has no pidfd_open(2), or there is no descriptor left.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        if error.errno in _NO_ROOM or error.errno in {errno.ENOSYS, errno.EPERM}:
            raise ResponseError(f"cannot open process {pid}: {error.strerror}") from error
        return None  # ESRCH; EINVAL or ENOENT for a thread
    seen = look_at(pid)
    if seen is None or is_readable(descriptor):
        os.close(descriptor)
        return None
    return ProcessHandle(seen, descriptor)


def pidfd_refusal() -> str:
    """Why this kernel cannot hold processes by descriptor, or ""."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return f"cannot hold processes by descriptor ({error.strerror}): needs Linux 5.3"
    return ""


def look_at(pid: int | str) -> Seen | None:
    """What /proc says of a pid, None where there is none."""
    data = _read_stat(pid)
    try:
        return Seen(parse_stat(data), parse_layout(data))
    except ParseError:
        return None


def read_stat(pid: int | str) -> Stat | None:
    """The same without the layout, also of a thread ("PID/task/TID")."""
    try:
        return parse_stat(_read_stat(pid))
    except ParseError:
        return None


def _read_stat(pid: int | str) -> bytes:
    """Nothing where it has ended, also under our eyes (ESRCH)."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _STAT_BYTES)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def read_tasks(pid: int) -> list[str]:
    """The threads of a process, none when it has ended."""
    try:
        return os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - hot
    except OSError:
        return []


def is_readable(descriptor: int) -> bool:
    """Whether the process of a pidfd has ended."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _send(descriptor: int, number: int, pid: int) -> bool:
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    except OSError as error:
        raise ResponseError(
            f"cannot send signal {number} to process {pid}: {error.strerror}; "
            "the capability kill is needed for other users' processes"
        ) from error
    return True
