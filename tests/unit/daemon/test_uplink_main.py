"""The uplink process and a service manager that started it."""

from __future__ import annotations

import argparse
import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from vedette.cli import uplink
from vedette.daemon import uplink_main
from vedette.errors import ConfigError

DEADLINE_S = 10.0


class Bridge:
    """Serves until it is stopped."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> None:
        await self._stopped.wait()


def serve(manager: socket.socket, beats: int) -> list[str]:
    """What the manager hears until so many signs of life came, and after the stop."""

    async def run() -> list[str]:
        bridge: Any = Bridge()
        loop, heard = asyncio.get_running_loop(), list[str]()
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
            group.create_task(uplink_main._serve(bridge))
            while heard.count("WATCHDOG=1") < beats:
                heard += (await loop.sock_recv(manager, 4096)).decode().split("\n")
            bridge.stop()
            while "STOPPING=1" not in heard:
                heard += (await loop.sock_recv(manager, 4096)).decode().split("\n")
        return heard

    return asyncio.run(run())


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.bind(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    return made


def test_a_service_manager_hears_that_the_uplink_lives(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    with manager:
        heard = serve(manager, 3)
    assert heard[:3] == ["WATCHDOG_USEC=20000", "WATCHDOG=1", "READY=1"]
    assert heard.count("WATCHDOG=1") >= 3
    assert heard[-1] == "STOPPING=1"


def test_a_manager_that_grants_no_watchdog_hears_of_start_and_end(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    with manager:
        assert [word for word in serve(manager, 0) if "STATUS" not in word] == [
            "READY=1", "STOPPING=1",
        ]  # fmt: skip


def test_a_start_may_take_longer_than_the_pauses_between_signs_of_life(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    with manager:
        with pytest.raises(ConfigError):
            uplink.run(argparse.Namespace(config=tmp_path / "none.toml"))
        assert manager.recv(999) == b"WATCHDOG_USEC=300000000\nWATCHDOG=1"
