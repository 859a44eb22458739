"""One run of a runner: started, watched, read, ended with all that it began.

Rule 1: it has its time, its output and its address space; what is beyond ends it.
Rule 2: when it has ended nothing of it is left: the worker is the first process of its namespace,
and kills everybody else in it.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from typing import NamedTuple, NoReturn

from vedette.daemon.signal_names import signal_name
from vedette.daemon.worker import enclosure
from vedette.daemon.worker.enclosure import SCRATCH

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": SCRATCH,
    "TMPDIR": SCRATCH, "PYTHONDONTWRITEBYTECODE": "1",
}  # fmt: skip
MAX_COMPLAINT_BYTES = 4096
EXIT_NOT_STARTED = 126
_BLOCK = 65536


class Limits(NamedTuple):
    """Of one run."""

    time_ms: int
    memory_bytes: int
    output_bytes: int


class Ran(NamedTuple):
    """How a run ended.

    Attributes:
        problem: why its answer does not count, "" where it ended with 0.
        is_limit: because it took too much.
        output: what it printed.
        time_ms: on the wall.
        peak_bytes: of resident memory.
    """

    problem: str
    is_limit: bool
    output: bytes
    time_ms: int
    peak_bytes: int


def run(argv: tuple[str, ...], limits: Limits) -> Ran:
    """Run a program to its end, or to the end of its time.

    Raises:
        OSError: no process could be made.
    """
    began_s = time.monotonic()
    ends_s = began_s + limits.time_ms / 1000
    output, complaint = _Pipe(limits.output_bytes), _Pipe(MAX_COMPLAINT_BYTES)
    pid = _start(argv, output, complaint, limits)
    try:
        problem = _read(output, complaint, ends_s) or _await(pid, ends_s)
    finally:
        _end_all(pid)
        _, status, usage = os.wait4(pid, 0)
        _reap()
        output.close()
        complaint.close()
    time_ms = int((time.monotonic() - began_s) * 1000)
    said = bytes(complaint.data).decode("utf-8", "replace").strip()[-200:]
    is_limit = bool(problem)
    if not problem and status:
        problem, is_limit = _why(status, said)
    return Ran(problem, is_limit, bytes(output.data), time_ms, usage.ru_maxrss * 1024)


class _Pipe:
    """Takes what is said, up to so many bytes."""

    def __init__(self, most: int) -> None:
        self.reading, self.writing = os.pipe2(os.O_CLOEXEC)
        self.data = bytearray()
        self.most = most

    def take(self) -> bool:
        """Read once; False at the end."""
        piece = os.read(self.reading, _BLOCK)
        self.data += piece
        return bool(piece)

    def close(self) -> None:
        os.close(self.reading)


def _start(argv: tuple[str, ...], output: _Pipe, complaint: _Pipe, limits: Limits) -> int:
    pid = os.fork()
    if pid == 0:
        _become(argv, output.writing, complaint.writing, limits)
    os.close(output.writing)
    os.close(complaint.writing)
    return pid


def _become(argv: tuple[str, ...], output: int, complaint: int, limits: Limits) -> NoReturn:
    """In the child: descriptors, limits, and the program."""
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)
        os.dup2(output, 1)
        os.dup2(complaint, 2)
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        enclosure.limit(limits.memory_bytes, limits.time_ms // 1000 + 2)
        os.execve(argv[0], argv, ENVIRONMENT)  # noqa: S606 (no shell is meant)
    except BaseException as error:  # noqa: BLE001 (nothing may return from here)
        os.write(2, f"{argv[0]} cannot be started: {error}".encode("utf-8", "replace"))
    os._exit(EXIT_NOT_STARTED)


def _read(output: _Pipe, complaint: _Pipe, ends_s: float) -> str:
    """Until the output is closed; why it had to be given up, or ""."""
    poll, open_pipes = select.poll(), {pipe.reading: pipe for pipe in (output, complaint)}
    for descriptor in open_pipes:
        poll.register(descriptor, select.POLLIN)
    while output.reading in open_pipes:
        ready = poll.poll(max(0, int((ends_s - time.monotonic()) * 1000)))
        if not ready:
            return "it did not end in its time"
        for descriptor, _ in ready:
            pipe = open_pipes[descriptor]
            if not pipe.take():
                poll.unregister(descriptor)
                del open_pipes[descriptor]
        if len(output.data) > output.most:
            return f"it printed more than {output.most} bytes"
        del complaint.data[:-MAX_COMPLAINT_BYTES]
    with suppress(BlockingIOError):
        os.set_blocking(complaint.reading, False)
        while complaint.reading in open_pipes and complaint.take():
            del complaint.data[:-MAX_COMPLAINT_BYTES]
    return ""


def _await(pid: int, ends_s: float) -> str:
    """Until the program has ended: it may have closed its output long before."""
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if poll.poll(max(0, int((ends_s - time.monotonic()) * 1000))):
            return ""
        return "it did not end in its time"
    finally:
        os.close(pidfd)


def _end_all(pid: int) -> None:
    """Everybody in our process namespace but us (kill(2), pid -1), or the child alone."""
    if os.getpid() == 1:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _reap() -> None:
    """What was given to us as the first process."""
    with suppress(ChildProcessError):
        while os.getpid() == 1:
            os.waitpid(-1, 0)


def _why(status: int, said: str) -> tuple[str, bool]:
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        return "it took more processor time than it may", True
    how = f"was ended by {signal_name(-code)}" if code < 0 else f"ended with status {code}"
    words = f"it {how}" + (f": {said}" if said else "")
    return words, "MemoryError" in said or "bad_alloc" in said or "Cannot allocate" in said
