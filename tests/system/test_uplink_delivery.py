"""Delivery through a real mosquitto: order, loss, restarts, and what a hostile hour brings."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.simulators.outbox_journal import draft
from tests.simulators.station import DEVICE, TENANT, operator, station, until

from vedette.core.outbox import Condition
from vedette_dev.broker import Broker, BrokerSettings

pytestmark = pytest.mark.system

DENIED = f"user operator\ntopic readwrite fleet/#\nuser {DEVICE}\ntopic write fleet/v1/+/{DEVICE}/birth\n"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    try:
        found = Broker(BrokerSettings(tmp_path / "broker"))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with found:
        yield found


def body(number: int, padding: int = 0) -> bytes:
    return json.dumps({"number": number, "padding": "x" * padding}).encode()


def test_an_entry_arrives_signed_and_is_marked_delivered(broker: Broker) -> None:
    async def story() -> None:
        with operator(broker) as listener, station(broker) as device:
            device.start_uplink()
            async with device.sentinel() as delivery:
                await device.journal.append([draft(body(1))])
                delivery.poke()
                delivery.publish_state(b'{"counter":2}')
                await until(lambda: device.journal.delivered == 1, "the mark")
                await until(lambda: len(listener.got) >= 3, "birth, state and finding")
            assert {
                found.topic.removeprefix(f"fleet/v1/{TENANT}/{DEVICE}/") for found in listener.got
            } == {
                "birth",
                "state",
                "up/finding",
            }
            assert all(found.is_genuine() for found in listener.got)
            finding = listener.findings()[0]
            assert (finding.body, finding.sequence) == (body(1), 1)
            assert finding.content_type == "application/json"

    asyncio.run(story())
