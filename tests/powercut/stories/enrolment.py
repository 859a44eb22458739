"""A device enrolled twice: by itself, then with root of trust, rules, broker and certificate."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from pathlib import Path

from tests.powercut.story import Mark, require
from tests.simulators.signing import document, role, signed_document, signer

from vedette.cli._enroll_offer import Brought, Offer
from vedette.cli._enroll_plan import Plan, Result
from vedette.codec import key_pem
from vedette.daemon import config as configuration
from vedette.trust.keyfile import load_signer
from vedette_dev.certificates import Authority

_WORDS = {("device", "id"): "cam-7", ("uplink", "host"): "broker.example"}


def prepare(folder: Path) -> None:
    """The package's configuration, and the authority of a broker."""
    (folder / "etc").mkdir()
    _configure(folder)
    Authority(folder / "offer")


def play(folder: Path, mark: Mark) -> None:
    """A key is made and told, then all the rest is brought."""
    told = _enroll(folder, Offer({}, {}), None)
    mark(f"key {told.key_id}")
    _enroll(folder, _offer(folder), "self-signed")
    mark("enrolled")


def check(folder: Path, marks: Sequence[str]) -> None:
    """It starts; the key that was told is the key; what names files finds them; it goes on."""
    _configure(folder)
    _move(folder)
    config = configuration.load(folder / "etc/vedette.toml")
    key, public = folder / "state/identity.key", folder / "etc/device.pub"
    keys = [mark.partition(" ")[2] for mark in marks if mark.startswith("key ")]
    if public.exists():
        known = key_pem.decode_public(public.read_bytes())
        require(load_signer(key).public_key == known, "the public half is another key's")
    if config.uplink.enabled or "enrolled" in marks:
        _require_connects(config)
    before = load_signer(key).public_key if key.exists() else b""
    again = _enroll(folder, _offer(folder), "self-signed")
    require(not before or again.public_key == before, "there is a second key")
    require(not keys or again.key_id == keys[-1], "the key that was told is gone")
    _require_connects(configuration.load(folder / "etc/vedette.toml"))


def _require_connects(config: configuration.Config) -> None:
    require(config.uplink.enabled and config.device.id == "cam-7", f"lost: {config.uplink}")
    context = ssl.create_default_context(cafile=config.uplink.ca)
    context.load_cert_chain(config.uplink.certificate, config.uplink.key)
    require(Path(config.rules.trust).exists(), "a broker is named before there is trust")


def _enroll(folder: Path, offer: Offer, client_auth: str | None) -> Result:
    plan = Plan(folder / "etc/vedette.toml", client_auth=client_auth, is_new_key=False)
    plan.check(offer)
    return plan.carry_out()


def _offer(folder: Path) -> Offer:
    files = {"trust.json": _trust(), "ca.pem": (folder / "offer/ca.pem").read_bytes()}
    names = {"trust": "trust.json", "ca": "ca.pem"}
    return Offer(_WORDS, {flag: Brought(Path(name), files[name]) for flag, name in names.items()})


def _trust() -> bytes:
    return signed_document(document(role(signer(1)), rules=role(signer(2))), signer(1))


def _configure(folder: Path) -> None:
    """The package's file, which no enrolment touches; the disk may be mounted elsewhere by now."""
    (folder / "etc/vedette.toml").write_text(
        f'[paths]\nstate = "{folder}/state"\n[identity]\nkey = "{folder}/state/identity.key"\n'
        f'[rules]\ntrust = "{folder}/etc/trust.json"\nbundle = "{folder}/state/rules.bundle"\n'
        '[device]\nid = "derived"\n[uplink]\nuser = "61874"\n'
    )


def _move(folder: Path) -> None:
    path = folder / "etc/enrolled.toml"
    if path.exists():
        text = re.sub(r'"/[^"]*/etc/tls/', f'"{folder}/etc/tls/', path.read_text())
        path.write_text(text)
