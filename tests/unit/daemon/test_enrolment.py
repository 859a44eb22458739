"""What a device lacks is said, with what brings it; a device of its own is no fault."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from vedette.daemon import enrolment
from vedette.daemon.config import Config, Device, Identity, Rules
from vedette.daemon.uplink_options import Uplink
from vedette.trust.keyfile import create_signer, short_key_id


def config(folder: Path, uplink: Uplink | None = None) -> Config:
    return Config(
        device=Device("cam-7", "acme"),
        rules=Rules(str(folder / "rules.bundle"), "", str(folder / "trust.json")),
        identity=Identity(str(folder / "identity.key")),
        uplink=uplink or Uplink(),
    )


def test_a_device_that_nobody_enrolled(tmp_path: Path) -> None:
    facts = {fact.name: fact for fact in enrolment.facts(config(tmp_path))}
    assert [name for name, fact in facts.items() if not fact.is_good] == [
        "identity", "root of trust", "rules offered",
    ]  # fmt: skip
    assert facts["identity"].found == "acme/cam-7, no signing key yet"
    assert "--trust FILE of vedette enroll" in facts["root of trust"].advice
    assert [line.split(":")[0] for line in enrolment.missing(config(tmp_path))] == [
        "root of trust", "rules offered", "broker",
    ]  # fmt: skip


def test_a_device_that_has_all_of_it(tmp_path: Path) -> None:
    signer = create_signer(tmp_path / "identity.key")
    for name in ("trust.json", "rules.bundle"):
        (tmp_path / name).touch()
    whole = config(tmp_path, Uplink(enabled=True, host="broker.example", ca="/ca.pem"))
    facts = enrolment.facts(whole)
    assert all(fact.is_good for fact in facts)
    assert facts[0].found == f"acme/cam-7, signs with key {short_key_id(signer.public_key)}"
    assert facts[-1].found == "broker.example:8883"
    assert enrolment.missing(whole) == []


def test_a_key_that_others_could_read_is_told(tmp_path: Path) -> None:
    create_signer(tmp_path / "identity.key")
    (tmp_path / "identity.key").chmod(0o644)
    fact = enrolment.identity(config(tmp_path))
    assert not fact.is_good
    assert "expected mode 0600, got 0644" in fact.advice


def test_a_broker_that_is_waited_for_and_one_that_is_turned_off(tmp_path: Path) -> None:
    waiting = config(tmp_path, Uplink(host="broker.example", ca="/ca.pem"))
    assert not enrolment.broker(waiting).is_good
    assert "vedette enroll --certificate" in enrolment.broker(waiting).advice
    uplink = dataclasses.replace(waiting.uplink, certificate="/device.pem", key="/device.key")
    off = enrolment.broker(config(tmp_path, uplink))
    assert off.is_good
    assert "turned off" in off.found
