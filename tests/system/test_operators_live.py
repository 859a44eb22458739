"""Operators and a device with nothing simulated: command line, mosquitto, uplink, sentinel.

What is done is done to a process and to files that the test made itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tests.simulators.station import Operator, operator
from tests.system._live import DEVICE, Live, live
from tests.system._site import rule

from vedette.cli.fleet import add_device
from vedette.codec import command as codec
from vedette.codec import topics
from vedette.codec.registry import Registered
from vedette.model.rule import Match
from vedette.trust.keyfile import load_signer
from vedette_dev.broker import OPERATOR, Broker

pytestmark = pytest.mark.system

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


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("operators")
    folder.chmod(0o700)
    try:
        context = live(folder)
        device, broker = context.__enter__()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    try:
        device.site.groups = (GROUP,)
        device.configure()
        device.site.offer(MARKED)
        with broker, operator(broker) as listener:
            device.start()
            device.until(lambda: device.site.ask("status")["uplink"]["state"] == "up", "the uplink")
            yield Desk(device, broker, listener)
            assert device.stop() == 0
    finally:
        context.__exit__(None, None, None)


def incident_of(desk: Desk, name: str) -> str:
    (desk.device.site.watched / name).write_text("#!/bin/sh\nexport TOKEN=hush\n")

    def look() -> str:
        for document in desk.entries("finding"):
            if document["evidences"][0]["data"].get("TargetFilename", "").endswith(name):
                return str(document["finding_info"]["uid"])
        return ""

    return desk.device.until(look, "the incident")


def refused_reasons(desk: Desk) -> list[str]:
    return [
        document["evidences"][0]["data"]["Reason"]
        for document in desk.entries("finding")
        if document["finding_info"]["analytic"]["uid"] == "vedette:command-refused"
    ]


def test_a_process_is_killed_by_command_and_the_receipt_is_shown(desk: Desk) -> None:
    victim = subprocess.Popen(["sleep", "300"])
    try:
        ticks = Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[19]
        done = desk.command("kill", f"{victim.pid}/{ticks}")
        assert [found["status"] for found in done.receipts] == ["done"], done
        assert done.code == 0
        assert victim.wait(DEADLINE_S) == -9
    finally:
        victim.kill()
        victim.wait()


def test_pid_1_is_refused_whoever_asks(desk: Desk) -> None:
    done = desk.command("kill", "1/1", signers=("alice", "bob"))
    assert (done.code, done.receipts[0]["status"]) == (1, "refused"), done


def test_a_replay_is_refused_told_and_answered(desk: Desk) -> None:
    data = desk.written("release")
    topic = topics.for_commands(TENANT, DEVICE, is_group=False)
    desk.publish(topic, data)
    desk.receipt_of(data, "done")
    desk.publish(topic, data)
    assert "it is a replay" in desk.receipt_of(data, "refused")["detail"]
    desk.device.until(
        lambda: [reason for reason in refused_reasons(desk) if "it is a replay" in reason],
        "the finding",
    )


def test_a_replay_after_a_restart_of_the_sentinel_is_refused(desk: Desk) -> None:
    data = desk.written("release")
    topic = topics.for_commands(TENANT, DEVICE, is_group=False)
    desk.publish(topic, data)
    desk.receipt_of(data, "done")
    desk.device.kill("sentinel")
    desk.device.until(
        lambda: desk.device.site.ask("status")["uplink"]["state"] == "up", "the uplink"
    )
    desk.publish(topic, data)
    assert "it is a replay" in desk.receipt_of(data, "refused")["detail"]


def test_what_a_stranger_publishes_is_refused_and_is_a_finding(desk: Desk) -> None:
    garbage = b"isolate yourself \x00\xff"
    desk.publish(topics.for_commands(TENANT, DEVICE, is_group=False), garbage)
    assert "expected an operator's command" in desk.receipt_of(garbage, "refused")["detail"]
    altered = desk.written("release").replace(b"release", b"isolate")
    desk.publish(topics.for_commands(TENANT, DEVICE, is_group=False), altered)
    assert "altered" in desk.receipt_of(altered, "refused")["detail"]


def test_a_command_for_another_device_is_refused_here(desk: Desk) -> None:
    file = desk.device.site.folder / "other"
    desk.fleet("command", "release", "--tenant", TENANT, "--device", "elsewhere",
               "--write", str(file))  # fmt: skip
    data = file.read_bytes()
    desk.publish(topics.for_commands(TENANT, DEVICE, is_group=False), data)
    assert "it is for device default/elsewhere" in desk.receipt_of(data, "refused")["detail"]


def test_a_late_command_is_refused(desk: Desk) -> None:
    data = desk.written("release", "--valid", "1")
    expires_s = codec.decode(data).expires_s
    desk.device.until(lambda: time.time() > expires_s, "its end")
    desk.publish(topics.for_commands(TENANT, DEVICE, is_group=False), data)
    assert "it is late" in desk.receipt_of(data, "refused")["detail"]


def test_a_group_is_not_isolated_by_one_key(desk: Desk) -> None:
    done = desk.fleet("command", "isolate", "--tenant", TENANT, "--group", GROUP, "--expect", "1")
    assert done.code == 1
    assert "needs 2 operators' keys, got 1" in done.receipts[0]["detail"]


def test_a_command_for_the_group_reaches_the_device(desk: Desk) -> None:
    done = desk.fleet("command", "release", "--tenant", TENANT, "--group", GROUP, "--expect", "1")
    assert (done.code, done.receipts[0]["device"]) == (0, DEVICE)


def test_promotion_is_written_by_one_operator_and_approved_by_the_other(desk: Desk) -> None:
    file = desk.device.site.folder / "promotion"
    digest = "ab" * 32
    assert desk.command("promote", digest, "--write", str(file)).code == 0
    alone = desk.command("promote", digest)
    assert "promote needs 2 operators' keys, got 1" in alone.receipts[0]["detail"]
    twice = desk.fleet("approve", str(file))
    assert "has approved this command already" in twice.said
    done = desk.fleet("approve", str(file), signers=("bob",))
    assert (done.code, done.receipts[0]["status"]) == (1, "failed")
    assert f"no playbook in force is named {digest}" in done.receipts[0]["detail"]


def test_the_evidence_of_an_incident_is_fetched_and_acknowledged(desk: Desk) -> None:
    incident = incident_of(desk, "dropper.marked")
    file = desk.device.site.folder / "evidence.json"
    done = desk.command("collect", incident, "-o", str(file))
    assert done.code == 0, done
    document = json.loads(file.read_bytes())
    assert document["incident"] == incident
    assert document["reports"][0]["finding_info"]["uid"] == incident
    (found,) = [one for one in document["files"] if one["path"].endswith("dropper.marked")]
    assert found["is_there"]
    assert len(found["sha256"]) == 64
    done = desk.command("acknowledge", incident)
    assert (done.code, done.receipts[0]["detail"]) == (0, "seen")
    unknown = desk.command("collect", "0" * 16)
    assert (unknown.code, unknown.receipts[0]["status"]) == (1, "failed")


def test_nobody_answers_for_a_device_that_is_not_there(desk: Desk) -> None:
    done = desk.fleet("command", "release", "--tenant", TENANT, "--device", "elsewhere")
    assert done.code == 2
    assert "enroll it first" in done.said
