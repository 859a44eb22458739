"""Runs a program of the system and takes what it says; blocks, so for a worker thread only.

Rule 1: it gets no shell, no descriptor of ours but its input, its output and its lock, and nothing
of our environment.
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
MAX_GIVEN_BYTES = 4096
"""A pipe holds as much on every kernel (pipe(7)), so giving it never waits."""
LOOK_S = 0.01
"""Between looks at a program that is about to end, on kernels without pidfd_open(2)."""

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


class Ran(NamedTuple):
    """How a program ended.

    Attributes:
        status: its exit status; minus the signal's number if one ended it.
        output: what it said, cut at MAX_OUTPUT_BYTES.
    """

    status: int
    output: str


def run(
    argv: Sequence[str],
    timeout_s: float,
    *,
    lock: int = -1,
    given: bytes = b"",
    with_errors: bool = True,
) -> Ran:
    """Run a program to its end.

    Args:
        argv: the first is an absolute path.
        timeout_s: what it has.
        lock: a descriptor that is locked (flock(2)): the program holds that lock as long as it
            runs, also when whoever started it was killed; -1 for none.
        given: what it reads; at most MAX_GIVEN_BYTES.
        with_errors: whether what it says on its error output is part of what it said; else it is
            thrown away, so that it cannot be taken for an answer.

    Raises:
        TimeoutError: it had to be killed.
        OSError: it could not be started.
    """
    ends_s = time.monotonic() + timeout_s
    reading, writing = os.pipe()
    source = _source(given)
    try:
        pid = _start(argv, source, writing, lock, with_errors=with_errors)
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
        os.close(source)
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


def _source(given: bytes) -> int:
    """What its input is: a pipe that already holds all there is to read."""
    if len(given) > MAX_GIVEN_BYTES:
        raise ValueError(f"expected at most {MAX_GIVEN_BYTES} bytes to give, got {len(given)}")
    source, sink = os.pipe()
    try:
        os.write(sink, given)
    finally:
        os.close(sink)
    return source


def _start(argv: Sequence[str], source: int, output: int, lock: int, *, with_errors: bool) -> int:
    held = [(os.POSIX_SPAWN_DUP2, lock, 3)] if lock >= 0 else []
    errors = (
        (os.POSIX_SPAWN_DUP2, output, 2)
        if with_errors
        else (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
    )
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        _ENVIRONMENT,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, source, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            errors,
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
