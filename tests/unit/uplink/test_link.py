"""The sentinel's end of the link, beside peers that keep to the protocol and peers that do not."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vedette.codec import link
from vedette.model.event import Event, EventsLost, NameResolved
from vedette.model.message import Message, Outcome, SessionChanged
from vedette.ports.uplink import UplinkListener
from vedette.uplink.link import ASK_S, WINDOW, LinkUplink

MESSAGE = Message(1, "b" * 32, "up/finding", "application/json", (), b"{}", bytes(64), False, 0)
UP = SessionChanged(
    is_up=True, reason="connected", maximum_packet_bytes=9000, receive_maximum=65535
)


@dataclass
class Heard:
    outcomes: list[Outcome] = field(default_factory=list)
    sessions: list[SessionChanged] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    down: list[tuple[bytes, int]] = field(default_factory=list)
    hearing: list[str] = field(default_factory=list)


@dataclass
class Bench:
    uplink: LinkUplink
    path: Path
    heard: Heard

    async def peer(self) -> socket.socket:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        found.connect(str(self.path))
        return found

    async def welcomed(self) -> socket.socket:
        found = await self.peer()
        opening = link.decode(await asyncio.get_running_loop().sock_recv(found, 65536))
        assert isinstance(opening, link.Open)
        return found

    async def with_session(self, change: SessionChanged = UP) -> socket.socket:
        found = await self.welcomed()
        found.send(link.encode(link.Session(1, change)))
        await until(lambda: self.heard.sessions == [change])
        return found


async def until(fact: Callable[[], object]) -> None:
    end_s = time.monotonic() + 5.0
    while not fact():
        assert time.monotonic() < end_s, "waited 5 s"
        await asyncio.sleep(0)


@asynccontextmanager
async def bench(peer_uid: int | None = None) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory() as name:
        heard = Heard()
        path = Path(name) / "uplink.sock"
        uid = os.geteuid() if peer_uid is None else peer_uid
        uplink = LinkUplink(path, tenant="acme", device="cam-7", peer_uid=uid)
        listener = UplinkListener(
            heard.outcomes.append, heard.sessions.append, heard.events.extend,
            lambda data, lost: heard.down.append((data, lost)), heard.hearing.append,
        )  # fmt: skip
        await uplink.open(listener, birth=MESSAGE, will=MESSAGE)
        try:
            yield Bench(uplink, path, heard)
        finally:
            await uplink.close()


def test_nothing_is_taken_before_a_session_and_the_window_bounds_it_then() -> None:
    async def story() -> None:
        async with bench() as found:
            assert not found.uplink.send(MESSAGE)
            with await found.with_session() as peer:
                taken = [found.uplink.send(MESSAGE._replace(sequence=n)) for n in range(1, 40)]
                assert taken == [True] * WINDOW + [False] * (39 - WINDOW)
                peer.send(link.encode(link.Result(1, Outcome(1, 0))))
                await until(lambda: found.heard.outcomes)
                assert found.uplink.send(MESSAGE)
                assert not found.uplink.send(MESSAGE)

    asyncio.run(story())


def test_a_lower_receive_maximum_is_honoured() -> None:
    async def story() -> None:
        async with bench() as found:
            with await found.with_session(UP._replace(receive_maximum=2)):
                assert [found.uplink.send(MESSAGE) for _ in range(3)] == [True, True, False]

    asyncio.run(story())


def test_a_peer_that_does_not_read_never_blocks_the_sender() -> None:
    async def story() -> None:
        async with bench() as found:
            with await found.with_session():
                large = MESSAGE._replace(body=bytes(60_000))
                taken = [found.uplink.send(large) for _ in range(WINDOW)]
                assert taken[0]
                assert not taken[-1]

    asyncio.run(story())


@pytest.mark.parametrize(
    "data",
    [b"\xc1", b"\x00" * 100, link.encode(link.Leave()), link.encode(link.Publish(1, MESSAGE))],
    ids=["no msgpack", "no frame", "a sentinel's frame", "a publication"],
)
def test_a_peer_that_sends_what_it_should_not_is_dropped(data: bytes) -> None:
    async def story() -> None:
        async with bench() as found:
            with await found.with_session() as peer:
                peer.send(data)
                await until(lambda: len(found.heard.sessions) == 2)
                assert not found.heard.sessions[1].is_up
                assert not found.uplink.send(MESSAGE)
            with await found.welcomed():
                pass  # the next one is let in

    asyncio.run(story())


def test_a_second_peer_is_shut_out_while_the_first_lives_and_let_in_after() -> None:
    async def story() -> None:
        async with bench() as found:
            first = await found.with_session()
            with await found.peer() as second:
                assert await asyncio.get_running_loop().sock_recv(second, 10) == b""
            assert found.uplink.refused_peers == 1
            first.close()
            with await found.welcomed():
                assert found.heard.sessions[-1].reason == "the uplink process ended"

    asyncio.run(story())


def test_a_peer_of_another_user_is_shut_out(as_root: None) -> None:
    async def story() -> None:
        async with bench(peer_uid=61876) as found:
            with await found.peer() as peer:
                assert await asyncio.get_running_loop().sock_recv(peer, 10) == b""
            assert found.uplink.refused_peers == 1
            status = found.path.stat()
            assert (status.st_uid, status.st_mode & 0o777) == (61876, 0o600)

    asyncio.run(story())


def test_hints_carry_our_time_and_what_was_lost() -> None:
    async def story() -> None:
        async with bench() as found:
            with await found.welcomed() as peer:
                before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
                peer.send(link.encode(link.Hints((), (("a.example", "192.0.2.1", 60),), 3)))
                await until(lambda: len(found.heard.events) == 2)
            resolved, lost = found.heard.events
            assert isinstance(resolved, NameResolved)
            assert resolved.at_s >= before_s
            assert isinstance(lost, EventsLost)
            assert lost.lost == 3

    asyncio.run(story())


def test_closing_asks_the_peer_to_leave() -> None:
    async def story() -> None:
        async with bench() as found:
            peer = await found.with_session()

            async def leave() -> None:
                data = await asyncio.get_running_loop().sock_recv(peer, 65536)
                assert link.decode(data) == link.Leave()
                peer.close()

            async with asyncio.TaskGroup() as group:
                group.create_task(leave())
                group.create_task(found.uplink.close())
            assert not found.path.exists()

    asyncio.run(story())


def test_what_is_handed_down_arrives_as_it_came_and_so_does_a_refusal_to_hear() -> None:
    async def story() -> None:
        async with bench() as found:
            with await found.with_session() as peer:
                peer.send(link.encode(link.Down(b"\x00anything", 0)))
                peer.send(link.encode(link.Down(b"", 7)))
                peer.send(link.encode(link.Hearing("not authorized")))
                await until(lambda: found.heard.hearing)
        assert found.heard.down == [(b"\x00anything", 0), (b"", 7)]
        assert found.heard.hearing == ["not authorized"]

    asyncio.run(story())


def test_a_peer_that_answers_owes_nothing() -> None:
    async def story() -> None:
        async with bench() as found:
            assert found.uplink.ask(1000.0) == 0.0, "nobody is there"
            peer = await found.welcomed()
            await until(lambda: found.uplink.peer_pid == os.getpid())
            for asked_s in (1000.0, 1000.0 + ASK_S, 1000.0 + 2 * ASK_S):
                assert found.uplink.ask(asked_s) == 0.0
                assert isinstance(link.decode(peer.recv(65536)), link.Alive)
                peer.send(link.encode(link.Alive()))
                await until(lambda: not found.uplink._is_asked)
                assert found.uplink.ask(asked_s + 1) == 0.0
            peer.close()

    asyncio.run(story())


def test_a_peer_that_hangs_owes_an_answer_until_it_is_gone() -> None:
    async def story() -> None:
        async with bench() as found:
            peer = await found.welcomed()
            await until(lambda: found.uplink.peer_pid)
            assert [found.uplink.ask(s) for s in (1000.0, 1010.0, 1090.0)] == [0.0, 10.0, 90.0]
            peer.close()
            await until(lambda: not found.uplink.peer_pid)
            assert found.uplink.ask(1100.0) == 0.0

    asyncio.run(story())
