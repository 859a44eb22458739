"""What is handed down to a sentinel that does not read: bounded, counted, said."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from vedette.codec import link
from vedette.uplink.wire import MAX_WAITING_DOWN, Wire


@asynccontextmanager
async def wire() -> AsyncIterator[tuple[Wire, socket.socket]]:
    with (
        tempfile.TemporaryDirectory() as name,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as listening,
    ):
        path = str(Path(name) / "sock")
        listening.bind(path)
        listening.listen()
        found = Wire(path, lambda _: None)
        peer, _ = listening.accept()
        peer.setblocking(False)
        with peer:
            try:
                yield found, peer
            finally:
                found.close()


async def received(peer: socket.socket) -> link.Frame:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(5.0):
        return link.decode(await loop.sock_recv(peer, link.MAX_FRAME_BYTES + 1))


def test_bytes_come_down_as_they_are_and_what_is_too_large_is_counted() -> None:
    async def story() -> None:
        async with wire() as (found, peer):
            found.hand_down(bytes(link.MAX_DOWN_BYTES + 1))
            found.hand_down(b"command")
            assert await received(peer) == link.Down(b"command", 1)
            found.hand_down(b"")
            assert await received(peer) == link.Down(b"", 0)

    asyncio.run(story())


def test_a_flood_fills_no_memory_and_what_was_dropped_is_told_when_there_is_room() -> None:
    async def story() -> None:
        async with wire() as (found, peer):
            sent = 4000
            for _ in range(sent):
                found.hand_down(b"x" * 4000)
            assert found.lost_down > 0
            frames: list[link.Down] = []
            while sum(1 for f in frames if f.data) + sum(f.lost for f in frames) < sent:
                frame = await received(peer)
                assert isinstance(frame, link.Down)
                frames.append(frame)
            assert frames[-1].data == b"", "the last ones were dropped, and nothing followed"
            assert len(frames) < sent - MAX_WAITING_DOWN

    asyncio.run(story())
