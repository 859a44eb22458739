from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.simulators.collected import Collected
from tests.simulators.network import Namespace

from vedette.errors import SensorError
from vedette.model.event import ConnectionOpened, Event, ListenerOpened
from vedette.ports.sensor import Sensor
from vedette.sensors import _polled_sockets, _proc_net, listeners, procnet
from vedette.sensors._probe import endpoint_of
from vedette.sensors.listeners import ListenersSensor
from vedette.sensors.procnet import ProcnetSensor


@pytest.fixture
def namespace(as_root: None) -> Iterator[Namespace]:
    with Namespace() as made, made.entered():
        yield made


@pytest.fixture(autouse=True)
def short_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procnet, "PERIOD_S", 0.05)
    monkeypatch.setattr(listeners, "PERIOD_S", 0.05)


@pytest.fixture(params=["sock_diag", "/proc/net"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "/proc/net":
        monkeypatch.setattr(_polled_sockets, "_talk_if_it_works", lambda: None)


async def opened(stack: AsyncExitStack, kind: type[Sensor], collected: Collected) -> Sensor:
    sensor = kind(collected.context)
    stack.push_async_callback(sensor.close)
    await sensor.open()
    return sensor


def on_port(events: list[Event], port: int) -> list[ListenerOpened]:
    return [e for e in events if isinstance(e, ListenerOpened) and e.port == port]


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_open_connection_is_told_once_with_its_process(
    namespace: Namespace, tmp_path: Path, address: str
) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            server = stack.enter_context(socket.create_server((address, 0), family=family))
            before = stack.enter_context(socket.create_connection(server.getsockname()[:2]))
            collected = Collected(tmp_path)
            sensor = await opened(stack, ProcnetSensor, collected)
            client = stack.enter_context(socket.create_connection(server.getsockname()[:2]))
            await collected.until(bool)
            await sensor.prove("abcdefghij")
            assert [event[1:] for event in collected.events] == [
                ("procnet", "tcp", True, address, client.getsockname()[1],
                 address, server.getsockname()[1], os.getpid(), 0, False)
            ]  # fmt: skip
            assert before.getsockname()[1] != client.getsockname()[1]

    asyncio.run(story())


@pytest.mark.usefixtures("source")
def test_a_connection_closed_between_looks_is_told_without_an_owner(
    namespace: Namespace, tmp_path: Path
) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            collected = Collected(tmp_path)
            await opened(stack, ProcnetSensor, collected)
            with socket.create_connection(server.getsockname()) as client:
                port = client.getsockname()[1]
                accepted = server.accept()[0]
            accepted.close()
            (event,) = await collected.until(bool)
            assert isinstance(event, ConnectionOpened)
            assert (event.source_port, event.pid, event.uid) == (port, 0, -1)

    asyncio.run(story())


@pytest.mark.parametrize("kind", [ProcnetSensor, ListenersSensor])
def test_it_proves_itself_without_an_event_of_it(
    namespace: Namespace, tmp_path: Path, kind: type[Sensor]
) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            collected = Collected(tmp_path)
            sensor = await opened(stack, kind, collected)
            await sensor.prove("abcdefghij")
            await sensor.prove("klmnopqrst")
            assert collected.events == []

    asyncio.run(story())


def test_it_fails_its_proof_where_the_tables_are_of_another_place(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProcnetSensor, "proof_timeout_s", 0.5)
    monkeypatch.setattr(_polled_sockets, "_talk_if_it_works", lambda: None)

    async def story() -> None:
        async with AsyncExitStack() as stack:
            sensor = await opened(stack, ProcnetSensor, Collected(tmp_path))
            (tmp_path / "tcp").write_bytes(b"heading\n")
            (tmp_path / "udp").write_bytes(b"heading\n")
            monkeypatch.setattr(_proc_net, "FOLDER", tmp_path)
            with pytest.raises(SensorError, match="saw none"):
                await sensor.prove("abcdefghij")

    asyncio.run(story())


def test_a_prober_that_cannot_connect_says_why(namespace: Namespace, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            sensor = await opened(stack, ProcnetSensor, Collected(tmp_path))
            taken = endpoint_of("abcdefghij")
            stack.enter_context(socket.create_server((taken.text, taken.port)))
            with pytest.raises(SensorError, match="Address already in use"):
                await sensor.prove("abcdefghij")

    asyncio.run(story())


@pytest.mark.usefixtures("source")
def test_a_new_listener_is_told_once_with_its_process(namespace: Namespace, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            stack.enter_context(socket.create_server(("127.0.0.1", 2323)))
            collected = Collected(tmp_path)
            sensor = await opened(stack, ListenersSensor, collected)
            stack.enter_context(socket.create_server(("::", 2324), family=socket.AF_INET6))
            service = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            service.bind(("127.0.0.1", 2325))
            await collected.until(lambda e: bool(on_port(e, 2324)) and bool(on_port(e, 2325)))
            await sensor.prove("abcdefghij")
            assert sorted(event[1:] for event in collected.events) == [
                ("listeners", "tcp", "::", 2324, os.getpid(), 0),
                ("listeners", "udp", "127.0.0.1", 2325, os.getpid(), 0),
            ]

    asyncio.run(story())


def test_a_client_socket_is_told_only_when_it_stays(namespace: Namespace, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncExitStack() as stack:
            collected = Collected(tmp_path)
            sensor = ListenersSensor(collected.context)
            stack.push_async_callback(sensor.close)
            await sensor.open()
            assert sensor._timer is not None
            sensor._timer.cancel()
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.bind(("127.0.0.1", sensor._ephemeral[0]))
            sensor._look()
            assert collected.events == []
            sensor._look()
            assert len(on_port(collected.events, sensor._ephemeral[0])) == 1
            sensor._look()
            assert len(collected.events) == 1
            client.close()

    asyncio.run(story())


def test_a_table_of_another_form_is_a_reason_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tcp").write_bytes(b"heading\n garbage\n")
    monkeypatch.setattr(_proc_net, "FOLDER", tmp_path)
    monkeypatch.setattr(_polled_sockets, "_talk_if_it_works", lambda: None)

    async def story() -> None:
        with pytest.raises(SensorError, match="garbage"):
            await ProcnetSensor(Collected(tmp_path).context).open()

    asyncio.run(story())
