"""A device's way out, whole: delivery, link and a real uplink process, beside a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions
from tests.simulators.outbox_journal import BOOT, OutboxJournal

from vedette.codec import cloudevents, topics
from vedette.codec.cloudevents import Received
from vedette.codec.envelope import signed_bytes
from vedette.daemon.delivery import Delivery
from vedette.daemon.uplink_main import settings_descriptor
from vedette.model.message import Identity
from vedette.trust.ed25519 import Ed25519Signer
from vedette.uplink.link import LinkUplink
from vedette.uplink.settings import UplinkSettings
from vedette_dev.broker import OPERATOR, Broker

TENANT, DEVICE = "acme", "device-1"
DEADLINE_S = 15.0
UPLINK_UID = 61875
SIGNER = Ed25519Signer(bytes(range(32)))


async def until(fact: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait for a fact, and fail with its name when it does not come."""
    end_s = time.monotonic() + deadline_s
    while not fact():
        assert time.monotonic() < end_s, f"waited {deadline_s:g} s for: {what}"
        await asyncio.sleep(0.01)


@dataclass
class Publication:
    """One message as an operator received it."""

    topic: str
    body: bytes
    content_type: str
    retain: bool
    received: Received

    @property
    def sequence(self) -> int:
        return self.received.event_id.sequence

    def is_genuine(self, public_key: bytes = SIGNER.public_key) -> bool:
        """Judged by the cryptography package, which shares nothing with what signed."""
        topic, event_id = topics.parse(self.topic), self.received.event_id
        message = signed_bytes(
            self.received.purpose, topic.tenant, topic.device, event_id.boot, event_id.sequence,
            topic.suffix, self.content_type, self.received.attributes, self.body,
        )  # fmt: skip
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(self.received.signature, message)
        except InvalidSignature:
            return False
        return True


class Operator:
    """Subscribes with a certificate of its own and keeps all that it gets."""

    def __init__(self, broker: Broker, *filters: str) -> None:
        self._filters = filters or topics.subscriptions()
        self.got: list[Publication] = []
        self.is_subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="operator", protocol=mqtt.MQTTv5
        )
        pair = broker.clients[OPERATOR]
        self._client.tls_set(str(broker.authority.file), str(pair.certificate), str(pair.key))
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self.is_subscribed.set()
        self._client.on_message = self._message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", broker.port, 60)
        self._client.loop_start()
        assert self.is_subscribed.wait(DEADLINE_S), "the operator's subscription"

    def _connected(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe([(name, SubscribeOptions(qos=1)) for name in self._filters])

    def _message(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        properties: Any = message.properties
        self.got.append(
            Publication(
                message.topic,
                bytes(message.payload),
                properties.ContentType,
                message.retain,
                cloudevents.parse_properties(properties.UserProperty),
            )
        )

    def findings(self) -> list[Publication]:
        return [found for found in self.got if found.topic.endswith("/up/finding")]

    def queued(self) -> list[Publication]:
        """What came through the outbox: findings, checkpoints and all else with a sequence."""
        return [found for found in self.got if found.sequence]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def operator(broker: Broker, *filters: str) -> Iterator[Operator]:
    found = Operator(broker, *filters)
    try:
        yield found
    finally:
        found.close()


@dataclass
class Station:
    """The sentinel's half in this process, the uplink in its own."""

    settings: UplinkSettings
    journal: OutboxJournal
    encoding: str = "json"
    budget_bytes: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    reports: list[tuple[str, str]] = field(default_factory=list)
    interpreter: str = sys.executable
    log: Path = Path(os.devnull)
    process: subprocess.Popen[bytes] | None = None
    delivery: Delivery | None = None

    def start_uplink(self) -> None:
        descriptor = settings_descriptor(self.settings)
        command = [self.interpreter, "-m", "vedette.daemon.uplink_main", str(descriptor)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                pass_fds=[descriptor],
                stderr=log,
                env={**os.environ, **self.environment},
            )
        os.close(descriptor)

    def end_uplink(self, *, is_killed: bool) -> int:
        assert self.process is not None
        (self.process.kill if is_killed else self.process.terminate)()
        code = self.process.wait(DEADLINE_S)
        self.process = None
        return code

    @contextlib.asynccontextmanager
    async def sentinel(self) -> AsyncIterator[Delivery]:
        """One life of the sentinel's half."""
        uplink = LinkUplink(
            Path(self.settings.socket),
            tenant=TENANT,
            device=DEVICE,
            peer_uid=UPLINK_UID if os.geteuid() == 0 else os.geteuid(),
        )
        delivery = Delivery(
            self.journal,
            uplink,
            SIGNER,
            Identity(TENANT, DEVICE, BOOT),
            encoding=self.encoding,
            budget_bytes_per_day=self.budget_bytes,
            report=lambda condition, detail: self.reports.append((condition, detail)),
            clock=time.monotonic,
            wall_clock=time.time,
            on_events=lambda _: None,
        )
        self.delivery = delivery
        await delivery.open(birth=b'{"counter":1}', will=b'{"counter":1,"up":false}')
        async with asyncio.TaskGroup() as group:
            running = group.create_task(delivery.run())
            try:
                yield delivery
            finally:
                running.cancel()
                await delivery.close()

    def reported(self, condition: str) -> list[str]:
        return [detail for name, detail in self.reports if name == condition]


@contextlib.contextmanager
def station(broker: Broker, **changes: Any) -> Iterator[Station]:
    """A device beside this broker; its uplink is started by the test."""
    # Not pytest's folder: the uplink's own user has to reach it.
    with tempfile.TemporaryDirectory(prefix="vedette-") as name:
        folder = Path(name)
        pair = broker.clients[DEVICE]
        own = {"tls_cert": pair.certificate, "tls_key": pair.key, "tls_ca": broker.authority.file}
        for file in own.values():
            copy = folder / file.name
            copy.write_bytes(file.read_bytes())
            if os.geteuid() == 0:
                os.chown(copy, UPLINK_UID, -1)
        run = folder / "run"
        run.mkdir(mode=0o700)
        folder.chmod(0o711)
        made = UplinkSettings(
            socket=str(run / "uplink.sock"),
            host="127.0.0.1",
            port=broker.port,
            client_id=DEVICE,
            keepalive_s=20,
            backoff_first_s=0.2,
            backoff_cap_s=0.5,
            user=str(UPLINK_UID) if os.geteuid() == 0 else "",
        )
        options = {key: changes.pop(key) for key in list(changes) if hasattr(made, key)}
        files = {key: str(folder / file.name) for key, file in own.items()}
        settings = UplinkSettings(**{**_as_dict(made), **files, **options})
        found = Station(settings, OutboxJournal(), log=broker.log.parent / "uplink.log", **changes)
        try:
            yield found
        finally:
            if found.process is not None:
                found.end_uplink(is_killed=True)


def _as_dict(settings: UplinkSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}
