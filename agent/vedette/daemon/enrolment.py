"""How far this device has been enrolled: who it is, whom it believes, whom it tells.

Rule: an enrolment that is not finished is no fault of the device, and is said all the same: what it
lacks, and with which flag of `vedette enroll` it is brought.
"""

from __future__ import annotations

import os
from pathlib import Path

from vedette.daemon.config import Config
from vedette.daemon.health import Fact
from vedette.errors import TrustError
from vedette.trust.keyfile import load_signer, short_key_id


def facts(config: Config) -> list[Fact]:
    """What `vedette doctor` tells of it."""
    return [identity(config), *content(config), broker(config)]


def identity(config: Config) -> Fact:
    """Whether the device has a name and a key of its own."""
    name, path = f"{config.device.tenant}/{config.device.id}", Path(config.identity.key)
    if not _may_look(path):
        return Fact("identity", is_good=True, found=f"{name}, key not readable by this user")
    if not path.exists():
        advice = "start the agent, or run vedette enroll: the key is made here"
        return Fact("identity", is_good=False, found=f"{name}, no signing key yet", advice=advice)
    try:
        key = short_key_id(load_signer(path).public_key)
    except TrustError as error:
        return Fact("identity", is_good=False, found=name, advice=str(error))
    return Fact("identity", is_good=True, found=f"{name}, signs with key {key}")


def content(config: Config) -> list[Fact]:
    """Whether there is a root of trust, and rules that it can vouch for."""
    found = []
    for name, path, lacks in (
        ("root of trust", Path(config.rules.trust), "no rules are taken without it: --trust"),
        ("rules offered", Path(config.rules.bundle), "nothing is found without them: --rules"),
    ):
        if not _may_look(path):
            found.append(Fact(name, is_good=True, found=f"{path}: not readable by this user"))
        elif path.exists():
            found.append(Fact(name, is_good=True, found=str(path)))
        else:
            advice = f"{lacks} FILE of vedette enroll brings it"
            found.append(Fact(name, is_good=False, found=f"none at {path}", advice=advice))
    return found


def broker(config: Config) -> Fact:
    """Whether somebody is told; a device may well be on its own."""
    uplink = config.uplink
    if uplink.enabled:
        return Fact("broker", is_good=True, found=f"{uplink.host}:{uplink.port}")
    if not uplink.host:
        words = "none: incidents stay here (vedette incidents); --broker of vedette enroll adds one"
        return Fact("broker", is_good=True, found=words)
    if uplink.certificate:
        words = f"{uplink.host}: turned off ([uplink] enabled = false)"
        return Fact("broker", is_good=True, found=words)
    advice = "have device.csr signed, then: vedette enroll --certificate device.pem"
    return Fact("broker", is_good=False, found=f"{uplink.host}: waits for a certificate",
                advice=advice)  # fmt: skip


def missing(config: Config) -> list[str]:
    """What the device lacks to be what it could be, one line each."""
    told = [*content(config), broker(config)]
    lacking = [fact for fact in told if not fact.is_good or fact.found.startswith("none")]
    return [": ".join(filter(None, (one.name, one.found, one.advice))) for one in lacking]


def _may_look(path: Path) -> bool:
    folder = next((one for one in path.parents if one.exists()), Path("/"))
    return os.access(folder, os.X_OK | os.R_OK)
