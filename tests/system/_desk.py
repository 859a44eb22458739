"""An operator's desk beside a running device: command line, listener, and a stranger's hand."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tests.simulators.neighbours import PEER, Neighbours
from tests.simulators.station import Operator, operator
from tests.system._live import DEVICE, Live, live
from tests.system._site import rule

from vedette.cli.fleet import add_device
from vedette.codec import command as codec
from vedette.codec.registry import Registered
from vedette.model.rule import Match
from vedette.trust.keyfile import load_signer
from vedette_dev.broker import OPERATOR, Broker

TENANT, GROUP = "default", "cameras"
MARKED = rule("marked", "file_event", Match("TargetFilename", "endswith", ".marked", False))
DEADLINE_S = 30.0


class Done(NamedTuple):
    """What the command line came to."""

    code: int
    receipts: list[dict[str, Any]]
    said: str


class Desk:
    """An operator's desk beside a running device."""

    def __init__(self, device: Live, broker: Broker, listener: Operator) -> None:
        self.device, self.listener = device, listener
        self._broker = broker
        self._folder = device.site.folder
        self.registry = self._folder / "fleet.json"
        key = load_signer(self._folder / "device.key").public_key
        add_device(self.registry, Registered(TENANT, DEVICE, key, ""), is_replacing=False)

    def fleet(self, *words: str, signers: tuple[str, ...] = ("alice",), wait_s: int = 20) -> Done:
        """Run `vedette fleet WORDS`."""
        pair = self._broker.clients[OPERATOR]
        argv = [
            sys.executable, "-m", "vedette.cli", "fleet", *words, "--json", "--wait", str(wait_s),
            "--registry", str(self.registry), "--host", "127.0.0.1",
            "--port", str(self._broker.port), "--ca", str(self._broker.authority.file),
            "--certificate", str(pair.certificate), "--key", str(pair.key),
        ]  # fmt: skip
        for name in signers:
            argv += ["--sign", str(self._folder / f"{name}.key")]
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False)
        assert "Traceback" not in ran.stderr
        return Done(
            ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr
        )

    def command(self, *words: str, **more: Any) -> Done:
        """Send a command to the device."""
        return self.fleet("command", *words, "--tenant", TENANT, "--device", DEVICE, **more)

    def written(self, *words: str, signers: tuple[str, ...] = ("alice",)) -> bytes:
        """The bytes of a command that is not sent."""
        file = self._folder / "command"
        self.command(*words, "--write", str(file), signers=signers)
        return file.read_bytes()

    def publish(self, topic: str, data: bytes) -> None:
        """Publish anything, as whoever got hold of the broker could."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, "stranger", protocol=mqtt.MQTTv5)
        pair = self._broker.clients[OPERATOR]
        client.tls_set(str(self._broker.authority.file), str(pair.certificate), str(pair.key))
        client.connect("127.0.0.1", self._broker.port, 60)
        client.loop_start()
        try:
            client.publish(topic, data, qos=1).wait_for_publish(DEADLINE_S)
        finally:
            client.disconnect()
            client.loop_stop()

    def receipt_of(self, data: bytes, status: str) -> dict[str, Any]:
        """The device's genuine receipt of these bytes with this status."""

        def look() -> dict[str, Any] | None:
            for found in self.listener.got:
                if found.topic.endswith("/up/receipt"):
                    body: dict[str, Any] = json.loads(found.body)
                    if (body["command"], body["status"]) == (codec.digest(data), status):
                        assert found.is_genuine(load_signer(self._folder / "device.key").public_key)
                        return body
            return None

        return self.device.until(look, f"a receipt: {status}")

    def entries(self, kind: str) -> list[dict[str, Any]]:
        """What the broker carried below up/KIND."""
        return [json.loads(f.body) for f in self.listener.got if f.topic.endswith(f"/up/{kind}")]


@contextmanager
def running(folder: Path, cable: Neighbours | None = None) -> Iterator[Desk]:
    """A device, its broker, and an operator; with a cable the two are at its ends."""
    folder.chmod(0o700)
    with ExitStack() as stack:
        try:
            device, broker = stack.enter_context(live(folder, address=PEER[0] if cable else ""))
        except FileNotFoundError as error:
            pytest.skip(str(error))
        device.site.groups = (GROUP,)
        device.host = PEER[0] if cable else device.host
        device.configure()
        device.site.offer(MARKED)
        with cable.peer.entered() if cable else contextlib.nullcontext():
            listener = stack.enter_context(operator(stack.enter_context(broker)))
        device.start()
        device.until(lambda: device.site.ask("status")["uplink"]["state"] == "up", "the uplink")
        yield Desk(device, broker, listener)
        assert device.stop() == 0
