"""The uplink process beside a sentinel that answers, and one that falls silent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from vedette.codec import link
from vedette.model.message import Message
from vedette.uplink import process
from vedette.uplink.settings import UplinkSettings

MESSAGE = Message(0, "b" * 32, "birth", "application/json", (), b"{}", bytes(64), True, 0)
DEADLINE_S = 10.0


class Sentinel:
    """The other end of the link, played by hand."""

    def __init__(self, path: Path) -> None:
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self.listening.bind(str(path))
        self.listening.listen(2)

    async def accept(self) -> socket.socket:
        found, _ = await asyncio.get_running_loop().sock_accept(self.listening)
        found.setblocking(False)
        found.send(link.encode(link.Open("acme", "cam-7", MESSAGE, MESSAGE)))
        return found

    async def heard(self, peer: socket.socket) -> link.Frame | None:
        """The next frame that is no news of the broker, which is not there; None at the end."""
        while data := await asyncio.get_running_loop().sock_recv(peer, 65536):
            frame = link.decode(data)
            if not isinstance(frame, link.Session):
                return frame
        return None


def play(tmp_path: Path, story: Callable[[Sentinel], Awaitable[None]]) -> None:
    path = tmp_path / "uplink.sock"

    async def run() -> None:
        sentinel = Sentinel(path)
        settings = UplinkSettings(socket=str(path), host="127.0.0.1", port=1)
        bridge = process.make_bridge(settings, None, None)
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
            group.create_task(bridge.run())
            try:
                await story(sentinel)
            finally:
                bridge.stop()
                sentinel.listening.close()

    asyncio.run(run())


def test_it_answers_whenever_it_is_asked(tmp_path: Path) -> None:
    async def story(sentinel: Sentinel) -> None:
        peer = await sentinel.accept()
        for _ in range(3):
            peer.send(link.encode(link.Alive()))
            assert await sentinel.heard(peer) == link.Alive()
        peer.close()

    play(tmp_path, story)


def test_a_sentinel_that_falls_silent_is_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SENTINEL_SILENT_S", 0.05)

    async def story(sentinel: Sentinel) -> None:
        peer = await sentinel.accept()
        peer.send(link.encode(link.Alive()))
        assert await sentinel.heard(peer) == link.Alive()
        assert await sentinel.heard(peer) is None, "it hangs up, and the broker keeps the will"
        again = await sentinel.accept()  # and waits for one that speaks
        again.close()
        peer.close()

    play(tmp_path, story)
