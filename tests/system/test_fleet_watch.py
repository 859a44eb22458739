"""`vedette fleet watch` as an operator runs it, beside a real broker and a real uplink."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.simulators.outbox_journal import draft
from tests.simulators.station import DEVICE, SIGNER, TENANT, station, until

from vedette.cli.fleet import add_device
from vedette.codec import ocsf
from vedette.codec.registry import Registered
from vedette_dev.broker import OPERATOR, Broker, BrokerSettings

pytestmark = pytest.mark.system

INCIDENT = {
    "class_uid": 2004, "activity_id": 1, "severity_id": 4, "count": 1, "time": 1_795_264_807_000,
    "finding_info": {"uid": "feed", "title": "A shell\x1b[2J of telnetd"},
}  # fmt: skip


def start(command: list[str], out: Path, err: Path) -> subprocess.Popen[bytes]:
    with out.open("wb") as stream, err.open("wb") as errors:
        return subprocess.Popen(command, stdout=stream, stderr=errors)


def test_incidents_are_shown_signed_and_escaped_and_ctrl_c_is_clean(tmp_path: Path) -> None:
    async def story() -> None:
        registry = tmp_path / "fleet.json"
        add_device(registry, Registered(TENANT, DEVICE, SIGNER.public_key, ""), is_replacing=False)
        with broker, station(broker) as device:
            pair = broker.clients[OPERATOR]
            command = [
                sys.executable, "-m", "vedette.cli", "fleet", "watch", "--registry", str(registry),
                "--host", "127.0.0.1", "--port", str(broker.port), "--json",
                "--ca", str(broker.authority.file),
                "--certificate", str(pair.certificate), "--key", str(pair.key),
            ]  # fmt: skip
            watcher = start(command, out, err)
            try:
                await until(lambda: b"connected" in err.read_bytes(), "the watcher")
                device.start_uplink()
                async with device.sentinel() as delivery:
                    await device.journal.append([draft(ocsf.canonical(INCIDENT))])
                    delivery.poke()
                    await until(lambda: b'"incident"' in out.read_bytes(), "the incident")
                watcher.send_signal(signal.SIGINT)
                assert watcher.wait(10) == 0
            finally:
                watcher.kill()
                watcher.wait()
        notes = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
        found = next(note for note in notes if note["kind"] == "incident")
        assert (found["device"], found["incident"]["severity"]) == (DEVICE, "high")
        assert b"Traceback" not in err.read_bytes()

    out, err = tmp_path / "out", tmp_path / "err"
    try:
        broker = Broker(BrokerSettings(tmp_path / "broker"))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    asyncio.run(story())
