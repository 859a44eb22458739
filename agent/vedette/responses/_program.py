"""Runs a program of the system and takes what it says; blocks, so for a worker thread only.

Rule 1: it gets no shell, no descriptor of ours but its output and its lock, and nothing of our
environment.
Rule 2: it never outlives its time: then it is killed, and that is told as TimeoutError.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence
from typing import NamedTuple

from vedette.kernel.priority import as_others

MAX_OUTPUT_BYTES = 64 << 10
LOOK_S = 0.01
"""Between looks at a program that is about to end, on kernels without pidfd_open(2)."""

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


class Ran(NamedTuple):
    """How a program ended.

    Attributes:
        status: its exit status; minus the signal's number if one ended it.
        output: what it said on both of its outputs, cut at MAX_OUTPUT_BYTES.
    """

    status: int
    output: str


def run(argv: Sequence[str], timeout_s: float, *, lock: int = -1) -> Ran:
    """Run a program to its end.

    Args:
        argv: the first is an absolute path.
        timeout_s: what it has.
        lock: a descriptor that is locked (flock(2)): the program holds that lock as long as it
            runs, also when whoever started it was killed; -1 for none.

    Raises:
        TimeoutError: it had to be killed.
        OSError: it could not be started.
    """
    ends_s = time.monotonic() + timeout_s
    reading, writing = os.pipe()
    try:
        pid = _start(argv, writing, lock)
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    try:
        output = _read(reading, ends_s)
        status = _wait(pid, ends_s)
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)  # not reaped, so the pid is still its own
        os.waitpid(pid, 0)
        raise TimeoutError(f"{argv[0]} did not end within {timeout_s:g} s and was killed") from None
    finally:
        os.close(reading)
    return Ran(os.waitstatus_to_exitcode(status), output.decode("utf-8", "replace"))


def _start(argv: Sequence[str], output: int, lock: int) -> int:
    held = [(os.POSIX_SPAWN_DUP2, lock, 3)] if lock >= 0 else []
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        _ENVIRONMENT,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
            *held,
        ],
        setsigmask=(),
        setsigdef=_DEFAULT_SIGNALS,
    )
    as_others(pid)
    return pid


def _read(reading: int, ends_s: float) -> bytes:
    """All it says until it closes its output; what is too much is thrown away."""
    said = bytearray()
    while True:
        _await(reading, ends_s)
        piece = os.read(reading, 4096)
        if not piece:
            return bytes(said)
        if len(said) < MAX_OUTPUT_BYTES:
            said += piece


def _wait(pid: int, ends_s: float) -> int:
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:  # Linux < 5.3
            if time.monotonic() >= ends_s:
                raise TimeoutError from None
            time.sleep(LOOK_S)
            continue
        try:
            _await(pidfd, ends_s)
        finally:
            os.close(pidfd)


def _await(descriptor: int, ends_s: float) -> None:
    """Until it can be read, or its other end is closed."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    left_ms = int(max(0.0, ends_s - time.monotonic()) * 1000)
    if not poll.poll(left_ms):
        raise TimeoutError
