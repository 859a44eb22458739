from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from vedette.sensors import _child
from vedette.sensors._child import Child


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_its_output_and_status_come_back() -> None:
    reading, writing = os.pipe()

    async def story() -> int:
        child = Child(["/bin/sh", "-c", "echo out; echo err >&2; exit 7"], writing)
        os.close(writing)
        return await child.wait()

    assert asyncio.run(story()) == 7
    assert os.read(reading, 100) == b"out\n"
    os.close(reading)


def output_of(*argv: str) -> bytes:
    reading, writing = os.pipe()

    async def story() -> None:
        child = Child(argv, writing)
        os.close(writing)
        assert await child.wait() == 0

    asyncio.run(story())
    try:
        return os.read(reading, 1000)
    finally:
        os.close(reading)


def test_it_inherits_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    assert b"SECRET" not in output_of("/usr/bin/env")


def test_it_inherits_no_descriptors() -> None:
    # The standard three, and the folder that ls has open.
    assert output_of("/bin/ls", "/proc/self/fd").split() == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("has_pidfd", ["pidfd", "an old kernel"])
def test_ending_leaves_no_process(has_pidfd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if has_pidfd != "pidfd":

        def refuse(pid: int) -> int:
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr("os.pidfd_open", refuse)
        monkeypatch.setattr(_child, "REAP_PERIOD_S", 0.001)

    async def story() -> None:
        child = Child(["/bin/sleep", "60"])
        await child.end()
        assert not is_there(child.pid)
        assert await child.wait() == -signal.SIGTERM
        await child.end()

    asyncio.run(story())


def test_one_that_ignores_the_request_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_child, "END_TIMEOUT_S", 0.05)
    reading, writing = os.pipe()

    async def story() -> None:
        child = Child(["/bin/sh", "-c", "trap '' TERM; echo; while :; do sleep 60; done"], writing)
        os.close(writing)
        await asyncio.to_thread(os.read, reading, 1)
        await child.end()
        assert await child.wait() == -signal.SIGKILL

    asyncio.run(story())
    os.close(reading)


def test_a_program_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        Child(["/nonexistent"])
