"""A device from nothing: the package's own configuration, an empty state, no broker, no owner.

First it watches and journals, then it is enrolled while it runs, finds, and defends; then it gets a
broker and tells. Everything is done by the commands that a person types.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system._fresh import Fresh, fresh
from tests.system._site import Site, rule

from vedette.model.finding import Severity
from vedette.model.playbook import Playbook, Step
from vedette.model.rule import Match
from vedette.trust.keyfile import load_signer, short_key_id
from vedette_dev.broker import OPERATOR, Broker, BrokerSettings

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("as_root")]

DROPPED = rule("dropped", "file_event", Match("TargetFilename", "endswith", ".dropped", False))
HIDE = Playbook(
    "hide", "hide", ("dropped",), (), Severity.LOW, (Step("quarantine", "file", 3600),), 100, 10, ""
)


@pytest.fixture
def device() -> Iterator[Fresh]:
    with fresh() as made:
        yield made


@pytest.fixture
def fleet(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.offer(DROPPED)
    site.offer_playbooks(HIDE, promoted=True)
    return site


def test_a_device_that_nobody_enrolled_watches_and_says_what_it_lacks(device: Fresh) -> None:
    with device:
        status = device.vedette("status")
        assert "no root of trust yet; bring one with vedette enroll" in status.stdout
        assert "off: incidents stay on this device" in status.stdout
        doctor = json.loads(device.vedette("doctor", "--json").stdout)
        facts = {fact["name"]: fact for fact in doctor["facts"]}
        signer = load_signer(device.state / "identity.key")
        assert facts["identity"]["found"].endswith(short_key_id(signer.public_key))
        assert not facts["root of trust"]["good"]
        assert not facts["rules offered"]["good"]
        assert "--broker" in facts["broker"]["found"]
        told = device.until(lambda: device.incident("vedette:no-rules"), "the finding about rules")
        assert told["severity_id"] == 5
        key = (device.state / "identity.key").read_bytes()
    with device:
        assert (device.state / "identity.key").read_bytes() == key


def test_enrolled_while_it_runs_it_finds_and_defends_without_a_broker(
    device: Fresh, fleet: Site
) -> None:
    with device:
        device.enroll(
            "--trust", fleet.folder / "trust.json", "--rules", fleet.bundle,
            "--playbooks", fleet.playbooks,
        )  # fmt: skip
        device.reload()
        device.until(lambda: device.ask("status")["rules"]["rules"] or None, "rules")
        bad = device.watched / "a.dropped"
        bad.write_bytes(b"x" * 100)
        found = device.until(lambda: device.incident("dropped"), "the incident")
        assert found["count"] >= 1
        device.until(lambda: not bad.exists() or None, "the file to be taken away")
        assert device.ask("status")["journal"]["size"] > 0


def test_with_a_broker_it_tells_and_a_reader_believes_it(
    device: Fresh, fleet: Site, tmp_path: Path
) -> None:
    try:
        broker = Broker(BrokerSettings(tmp_path / "broker"))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    told = device.enroll(
        "--trust", fleet.folder / "trust.json", "--rules", fleet.bundle, "--device", "cam-7",
        "--tenant", "acme", "--broker", "127.0.0.1", "--port", str(broker.port),
        "--ca", broker.authority.file, "--client-auth", "self-signed",
    )  # fmt: skip
    authorities = broker.authority.file
    authorities.write_bytes(
        authorities.read_bytes() + (device.etc / "tls" / "device.pem").read_bytes()
    )
    registry = tmp_path / "fleet.json"
    words = told["next"][0].removeprefix("operator: vedette ").replace("fleet.json", str(registry))
    subprocess.run([sys.executable, "-m", "vedette.cli", *words.split()], check=True)
    pair = broker.clients[OPERATOR]
    with broker, (tmp_path / "watch.out").open("wb") as out:
        watcher = subprocess.Popen(
            [sys.executable, "-m", "vedette.cli", "fleet", "watch", "--json",
             "--registry", str(registry), "--host", "127.0.0.1", "--port", str(broker.port),
             "--ca", str(authorities), "--certificate", str(pair.certificate),
             "--key", str(pair.key)],
            stdout=out,
        )  # fmt: skip
        try:
            with device:
                device.until(lambda: device.ask("status")["uplink"]["state"] == "up", "the uplink")
                (device.watched / "b.dropped").write_bytes(b"x")
                found = device.until(lambda: _incident(tmp_path / "watch.out"), "the message")
            assert (found["tenant"], found["device"]) == ("acme", "cam-7")
        finally:
            watcher.send_signal(signal.SIGINT)
            watcher.wait(10)


def _incident(file: Path) -> dict[str, Any] | None:
    for line in file.read_text().splitlines():
        note: dict[str, Any] = json.loads(line)
        if note["kind"] == "incident" and "dropped" in line:
            return note
    return None
