"""Who began a TCP connection, and whose handshake is over, on a kernel without eBPF or BTF."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime

import pytest
from tests.simulators.collected import Collected
from tests.simulators.network import Namespace, route

from vedette.kernel import perf_trace
from vedette.model.event import ConnectionOpened, Event, EventClass
from vedette.sensors import _handshakes
from vedette.sensors._tcp_states import TcpStates
from vedette.sensors.conntrack import ConntrackSensor

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("as_root", "kernel")]

SWEEP = """
import socket, sys
for port in range(20_000, 20_000 + int(sys.argv[2])):
    with socket.socket() as prober:
        prober.connect_ex((sys.argv[1], port))
"""
FROM_ONE_PORT = """
import socket
with socket.socket() as prober:
    prober.bind(("127.0.0.1", 30_001))
    prober.connect_ex(("127.0.0.7", 9))
"""


@pytest.fixture
def tracefs(
    as_root: None, kernel: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Where it is not mounted, in a folder of the test's, and not any more afterwards."""
    if any((folder / "events").is_dir() for folder in perf_trace.FOLDERS):
        yield
        return
    folder = tmp_path / "tracing"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tracefs", "none", folder], check=False, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"this kernel has no tracefs: {done.stderr}")
    monkeypatch.setattr(perf_trace, "FOLDERS", (folder,))
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def namespace(as_root: None, kernel: None) -> Iterator[Namespace]:
    with Namespace() as made, made.entered():
        yield made


def connections(events: list[Event]) -> list[ConnectionOpened]:
    return [e for e in events if isinstance(e, ConnectionOpened) and e.protocol == "tcp"]


async def opened(stack: AsyncExitStack, collected: Collected) -> ConntrackSensor:
    sensor = ConntrackSensor(collected.context)
    stack.push_async_callback(sensor.close)
    await sensor.open()
    return sensor


def test_a_sweep_of_ports_is_told_with_its_process(
    tracefs: None, namespace: Namespace, tmp_path: Path
) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            collected = Collected(tmp_path)
            sensor = await opened(stack, collected)
            assert sensor.blind_spots(EventClass.NETWORK) == ()
            sweep = await asyncio.create_subprocess_exec(
                sys.executable, "-ISc", SWEEP, "127.0.0.7", "100"
            )
            await sweep.wait()
            events = await collected.until(lambda seen: len(connections(seen)) >= 100)
            assert [event.pid for event in connections(events)] == [sweep.pid] * 100
            counters = sensor.counters()
            assert (counters["begun"], counters["states_lost"]) == (100, 0)

    asyncio.run(story())


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_connection_that_stays_open_is_told_with_its_process(
    tracefs: None, namespace: Namespace, tmp_path: Path, address: str
) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            collected = Collected(tmp_path)
            sensor = await opened(stack, collected)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            is_dual = "ffff" in address
            end = "::" if is_dual else address
            server = stack.enter_context(
                socket.create_server((end, 0), family=family, dualstack_ipv6=is_dual)
            )
            client = stack.enter_context(socket.socket(family))
            client.connect((address, server.getsockname()[1]))
            events = await collected.until(lambda seen: bool(connections(seen)))
            assert connections(events)[0].pid == os.getpid()
            assert sensor.counters()["owner_sought"] == 0

    asyncio.run(story())


def test_without_tracefs_the_sensor_says_what_it_misses(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perf_trace, "FOLDERS", (tmp_path,))

    async def story() -> None:
        async with AsyncExitStack() as stack:
            sensor = await opened(stack, Collected(tmp_path))
            process, peer = sensor.blind_spots(EventClass.NETWORK)
            assert process.startswith("the process of most connections that close at once: ")
            assert peer.startswith("whom of those that connect to this host to block")
            assert "tracefs is not mounted" in process

    asyncio.run(story())


def test_what_two_claim_is_nobodys(tracefs: None, namespace: Namespace) -> None:
    async def story() -> None:
        states = TcpStates()
        try:
            ends = (socket.inet_aton("127.0.0.1"), 30_001, socket.inet_aton("127.0.0.7"), 9)
            with Namespace() as other:
                for place in (namespace, other):
                    with place.entered():
                        probe = await asyncio.create_subprocess_exec(
                            sys.executable, "-ISc", FROM_ONE_PORT
                        )
                        await probe.wait()
            states.look()
            assert states.begun_by(ends) == 0
            assert states.counters()["begun"] == 2
        finally:
            states.close()

    asyncio.run(story())


def test_more_than_a_ring_holds_is_counted_and_later_ones_are_told(
    tracefs: None, namespace: Namespace
) -> None:
    async def story() -> None:
        states = TcpStates()
        try:
            for _ in range(3_000):
                with socket.socket() as prober:
                    prober.connect_ex(("127.0.0.7", 9))
            states.look()
            with socket.socket() as prober:
                prober.bind(("127.0.0.1", 0))
                port = prober.getsockname()[1]
                prober.connect_ex(("127.0.0.7", 9))
            states.look()
            ends = (socket.inet_aton("127.0.0.1"), port, socket.inet_aton("127.0.0.7"), 9)
            assert states.begun_by(ends) == os.getpid()
            assert states.counters()["states_lost"] > 0
        finally:
            states.close()
            states.close()

    asyncio.run(story())


KNOCK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as door:
    print(door.getsockname()[1])
"""


@pytest.mark.parametrize(("there", "here"), [("10.92.1.2", "10.92.1.1"), ("fd91::2", "fd91::1")])
def test_who_finished_a_handshake_is_where_he_says(
    tracefs: None, namespace: Namespace, tmp_path: Path, there: str, here: str
) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            client, far = (stack.enter_context(Namespace()) for _ in range(2))
            route(client, namespace, far)
            collected = Collected(tmp_path)
            await opened(stack, collected)
            family = socket.AF_INET6 if ":" in here else socket.AF_INET
            server = stack.enter_context(socket.create_server((here, 0), family=family))
            with client.entered():
                knock = await asyncio.create_subprocess_exec(
                    sys.executable, "-ISc", KNOCK, here, str(server.getsockname()[1]),
                    stdout=asyncio.subprocess.PIPE,
                )  # fmt: skip
            port = int((await knock.communicate())[0])
            events = await collected.until(lambda seen: bool(connections(seen)))
            (event,) = connections(events)
            assert (event.source_ip, event.source_port) == (there, port)
            assert (event.is_initiated, event.is_established) == (False, True)

    asyncio.run(story())


def test_a_first_packet_alone_is_told_as_what_it_is(
    tracefs: None, namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_handshakes, "HOLD_S", 0.2)

    async def story() -> None:
        async with AsyncExitStack() as stack:
            client, far = (stack.enter_context(Namespace()) for _ in range(2))
            route(client, namespace, far)
            client.run("nft", "add table inet deaf")
            client.run("nft", "add chain inet deaf in { type filter hook input priority 0 ; }")
            client.run("nft", "add rule inet deaf in tcp flags & (syn | ack) == syn | ack drop")
            collected = Collected(tmp_path)
            await opened(stack, collected)
            server = stack.enter_context(socket.create_server(("10.92.1.1", 0)))
            with client.entered():
                knock = stack.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(server.getsockname())
            (event,) = connections(await collected.until(lambda seen: bool(connections(seen))))
            assert (event.is_initiated, event.is_established) == (False, False)

    asyncio.run(story())


def test_what_still_waits_at_the_end_is_told(
    tracefs: None, namespace: Namespace, tmp_path: Path
) -> None:
    event = ConnectionOpened(
        clock_gettime(CLOCK_BOOTTIME), "conntrack", "tcp", False, "192.0.2.1", 1, "192.0.2.2", 2,
        0, 0,
    )  # fmt: skip
    told: list[ConnectionOpened] = []

    async def story() -> None:
        states = TcpStates()
        try:
            waiting = _handshakes.Handshakes(states, told.extend)
            ends = [(b"\xc0\0\2\1", port, b"\xc0\0\2\2", 2) for port in range(600)]
            now = waiting.take([(one, event._replace(source_port=one[1])) for one in ends])
            assert [one.source_port for one in now] == list(range(_handshakes.MAX_HELD, 600))
            assert not told
            waiting.close()
            waiting.close()
        finally:
            states.close()

    asyncio.run(story())
    assert [one.source_port for one in told] == list(range(_handshakes.MAX_HELD))
