from __future__ import annotations

import os
import signal
import time

import pytest

from vedette.daemon import kept_process


def begun(script: str) -> int:
    """A process that leads a session of its own, as `spawn` begins one."""
    return os.posix_spawn("/bin/sh", ["sh", "-c", script], {}, setsid=True)


def awaited(pid: int) -> int:
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 0", kept_process.ENDED_WELL),
        ("exit 3", "ended with exit code 3"),
        ("kill -KILL $$", "was ended by SIGKILL"),
        ("kill -40 $$", "was ended by signal 40"),
    ],
)
def test_how_one_ended_is_said_whatever_it_did_to_itself(script: str, words: str) -> None:
    pid = awaited(begun(script))
    assert kept_process.has_ended(pid)
    assert kept_process.has_ended(pid), "it stays a zombie, so that its pid means nobody else"
    assert kept_process.bury(pid) == words
    with pytest.raises(ChildProcessError):
        kept_process.has_ended(pid)


def test_what_it_left_running_ends_with_it() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    pid = awaited(begun("sleep 600 & exit 0"))
    os.close(writing)
    assert kept_process.bury(pid) == kept_process.ENDED_WELL
    assert os.read(reading, 1) == b"", "nobody holds the other end any more"
    os.close(reading)


def test_one_that_does_not_end_is_waited_for_until_its_time_and_killed() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        pid = begun("trap '' TERM ABRT; while :; do sleep 600; done")
        assert not kept_process.await_end(pid, time.monotonic())
        kept_process.kill(pid)
        assert kept_process.await_end(pid, time.monotonic())
        assert kept_process.bury(pid) == "was ended by SIGKILL"
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def test_one_that_hangs_may_say_where_even_if_it_was_stopped() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        pid = begun("kill -STOP $$")
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        kept_process.abort(pid, deadline_s=30.0)
        assert kept_process.bury(pid) == "was ended by SIGABRT"
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
