from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
from tests.simulators.collected import Collected
from tests.simulators.network import Namespace, give_address, route

from vedette.errors import SensorError
from vedette.kernel import own_table
from vedette.model.event import ConnectionOpened, Event, EventsLost
from vedette.sensors import _conntrack_table, _flow_watch
from vedette.sensors.conntrack import ConntrackSensor

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("as_root", "kernel")]


@pytest.fixture
def namespace(as_root: None, kernel: None) -> Iterator[Namespace]:
    with Namespace() as made, made.entered():
        yield made


def tables() -> list[str]:
    done = subprocess.run(["nft", "-j", "list", "tables"], check=True, capture_output=True)
    listed = json.loads(done.stdout)["nftables"]
    return [entry["table"]["name"] for entry in listed if "table" in entry]


def connections(events: list[Event], port: int) -> list[ConnectionOpened]:
    return [e for e in events if isinstance(e, ConnectionOpened) and e.destination_port == port]


async def opened(stack: AsyncExitStack, collected: Collected) -> ConntrackSensor:
    sensor = ConntrackSensor(collected.context)
    stack.push_async_callback(sensor.close)
    await sensor.open()
    return sensor


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_connection_is_seen_with_its_process(
    namespace: Namespace, tmp_path: Path, address: str
) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            collected = Collected(tmp_path)
            await opened(stack, collected)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            server = stack.enter_context(socket.create_server((address, 0), family=family))
            port = server.getsockname()[1]
            client = stack.enter_context(socket.create_connection((address, port)))
            events = await collected.until(lambda seen: bool(connections(seen, port)))
            (event,) = connections(events, port)
            assert event._replace(at_s=0.0) == ConnectionOpened(
                0.0, "conntrack", "tcp", True, address, client.getsockname()[1],
                address, port, os.getpid(), 0,
            )  # fmt: skip

    asyncio.run(story())


def test_a_datagram_is_seen_with_its_process(namespace: Namespace, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            collected = Collected(tmp_path)
            await opened(stack, collected)
            sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sender.sendto(b"x", ("127.0.0.1", 9))
            (event,) = connections(await collected.until(lambda e: bool(connections(e, 9))), 9)
            assert (event.protocol, event.pid, event.is_initiated) == ("udp", os.getpid(), True)

    asyncio.run(story())


def test_it_proves_itself_without_an_event_of_it(namespace: Namespace, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            collected = Collected(tmp_path)
            sensor = await opened(stack, collected)
            await sensor.prove("abcdefghij")
            await sensor.prove("klmnopqrst")
            assert collected.events == []
            assert sensor.counters()["in"] == 2

    asyncio.run(story())


def test_it_fails_its_proof_when_its_rule_is_gone(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            sensor = await opened(stack, Collected(tmp_path))
            await sensor.prove("abcdefghij")
            monkeypatch.setattr(ConntrackSensor, "proof_timeout_s", 0.5)
            assert sensor._guard is not None
            sensor._guard._table.remove()
            with pytest.raises(SensorError, match="saw none"):
                await sensor.prove("klmnopqrst")

    asyncio.run(story())


def test_the_table_is_gone_after_close(namespace: Namespace, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            await opened(stack, Collected(tmp_path))
            assert tables() == ["vedette"]
        assert tables() == []

    asyncio.run(story())
    assert list(tmp_path.iterdir()) == []


SLEEPER = """
import asyncio, sys
from pathlib import Path
from vedette.ports.sensor import SensorContext
from vedette.kernel.own_table import OwnTable
from vedette.sensors.conntrack import ConntrackSensor

if sys.argv[2] == "old kernel":
    create = OwnTable._create

    def refuse_owner(self, elements, *, is_owned):
        if is_owned:
            raise OSError(22, "Invalid argument")
        create(self, elements, is_owned=False)

    OwnTable._create = refuse_owner

async def main():
    folder = Path(sys.argv[1])
    await ConntrackSensor(SensorContext(lambda batch: None, folder, folder)).open()
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize(("kernel_age", "left"), [("new kernel", []), ("old kernel", ["vedette"])])
def test_the_table_is_gone_after_sigkill_and_restore(
    namespace: Namespace, tmp_path: Path, kernel_age: str, left: list[str]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(tmp_path), kernel_age], stdout=subprocess.PIPE
    ) as sleeper:
        assert sleeper.stdout is not None
        assert sleeper.stdout.readline() == b"open\n"
        assert tables() == ["vedette"]
        sleeper.send_signal(signal.SIGKILL)
    assert tables() == left
    said = ConntrackSensor.restore(tmp_path)
    assert said == (["conntrack: removed nft table inet vedette"] if left else [])
    assert tables() == []
    assert ConntrackSensor.restore(tmp_path) == []


def test_a_table_left_behind_is_replaced(namespace: Namespace, tmp_path: Path) -> None:
    async def story() -> None:
        namespace.run("nft", "add table inet vedette")
        async with AsyncExitStack() as stack:
            sensor = await opened(stack, Collected(tmp_path))
            await sensor.prove("abcdefghij")
        assert tables() == []

    asyncio.run(story())


def test_a_second_agent_is_told_that_another_owns_the_table(
    namespace: Namespace, tmp_path: Path
) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            await opened(stack, Collected(tmp_path))
            with pytest.raises(SensorError, match="any other process that owns the table"):
                await ConntrackSensor(Collected(tmp_path).context).open()
            assert tables() == ["vedette"]

    asyncio.run(story())


def test_flushing_the_rules_leaves_the_sensor_seeing(namespace: Namespace, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            sensor = await opened(stack, Collected(tmp_path))
            namespace.run("nft", "flush ruleset")
            await sensor.prove("abcdefghij")

    asyncio.run(story())


def test_a_burst_over_a_small_buffer_is_a_loss_and_what_is_open_is_found(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_flow_watch, "RECEIVE_BUFFER_BYTES", 4096)
    monkeypatch.setattr(_flow_watch, "RESYNC_AFTER_S", 0.0)

    async def story() -> None:
        async with AsyncExitStack() as stack:
            collected = Collected(tmp_path)
            sensor = await opened(stack, collected)
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
            address = server.getsockname()
            for _ in range(60):
                stack.enter_context(socket.create_connection(address))
            events = await collected.until(lambda e: len(connections(e, address[1])) >= 60)
            assert [e for e in events if isinstance(e, EventsLost)]
            assert sensor.counters()["overflows"] >= 1
            seen = connections(events, address[1])
            assert len({event.source_port for event in seen}) == len(seen) == 60
            assert {event.pid for event in seen} >= {os.getpid()}

    asyncio.run(story())


def test_what_a_router_forwards_never_reaches_python(namespace: Namespace, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            client, server = (stack.enter_context(Namespace()) for _ in range(2))
            route(client, namespace, server)
            collected = Collected(tmp_path)
            sensor = await opened(stack, collected)
            ends = stack.enter_context(ExitStack())
            with client.entered():
                sockets = [
                    ends.enter_context(socket.socket(family, socket.SOCK_DGRAM))
                    for family in [socket.AF_INET, socket.AF_INET6] * 25
                ]
            for sender in sockets:
                far = ("fd92::2" if sender.family == socket.AF_INET6 else "10.92.2.2", 5000)
                sender.sendto(b"x", far)
            sockets[0].sendto(b"x", ("10.92.1.1", 5001))
            sockets[1].sendto(b"x", ("fd91::1", 5001))
            own = ends.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            own.sendto(b"x", ("10.92.2.2", 5002))
            events = await collected.until(lambda e: bool(connections(e, 5002)))
            seen = [
                (e.source_ip, e.destination_ip, e.destination_port, e.is_initiated)
                for e in events
                if isinstance(e, ConnectionOpened)
            ]
            assert sorted(seen) == [
                ("10.92.1.2", "10.92.1.1", 5001, False),
                ("10.92.2.1", "10.92.2.2", 5002, True),
                ("fd91::2", "fd91::1", 5001, False),
            ]
            assert sensor.counters()["in"] == 3
            assert sensor.counters()["forwarded"] == 0

    asyncio.run(story())


def test_a_new_address_is_taken_up_and_its_first_moments_are_a_loss(
    namespace: Namespace, tmp_path: Path
) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            collected = Collected(tmp_path)
            await opened(stack, collected)
            give_address(namespace, "lo", "10.92.3.1/32")
            await collected.until(lambda seen: any(isinstance(e, EventsLost) for e in seen))
            sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sender.sendto(b"x", ("10.92.3.1", 9))
            (event,) = connections(await collected.until(lambda e: bool(connections(e, 9))), 9)
            assert event.source_ip == "10.92.3.1"

    asyncio.run(story())


def test_it_steps_aside_where_events_are_off(namespace: Namespace, tmp_path: Path) -> None:
    switch = Path("/proc/sys/net/netfilter/nf_conntrack_events")
    if not switch.exists():
        pytest.skip("this kernel tells no conntrack settings")
    switch.write_text("0")

    async def story() -> None:
        with pytest.raises(SensorError, match="set it to 2"):
            await ConntrackSensor(Collected(tmp_path).context).open()

    asyncio.run(story())
    assert tables() == []


def test_a_nearly_full_table_takes_our_rule_out(namespace: Namespace, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            collected = Collected(tmp_path)
            sensor = await opened(stack, collected)
            assert sensor._guard is not None
            sensor._guard.give_room(79)
            assert tables() == ["vedette"]
            sensor._guard.give_room(80)
            assert tables() == []
            assert [e.reason for e in collected.events if isinstance(e, EventsLost)] == [
                "the kernel's connection table was 80 % full: our nft rule was taken out"
            ]
            sensor._guard.give_room(50)
            await sensor.prove("abcdefghij")

    asyncio.run(story())


def test_a_table_that_somebody_removed_is_missed(namespace: Namespace, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            sensor = await opened(stack, Collected(tmp_path))
            assert await sensor.taken_away() == ""
            assert sensor._table is not None
            # Only its owner may: as with a socket got by pidfd_getfd(2), or on an older kernel.
            own_table.delete(sensor._table._table._talk, _conntrack_table.NAME)
            assert await sensor.taken_away() == "nft table inet vedette was removed or changed"

    asyncio.run(story())
