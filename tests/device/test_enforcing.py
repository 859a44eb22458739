"""A device contains each attack where its playbooks enforce, undoes that, and tells the fleet."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.device._device import REPOSITORY, Device, chosen_attacks, data_of

from vedette.codec import bundle as bundle_codec
from vedette.codec import dsse
from vedette_dev import identity
from vedette_dev.device import in_guest, tests_disk
from vedette_dev.device.site import Site
from vedette_dev.enforcement import narrowed, playbooks_for, sealed_sets, with_twins
from vedette_dev.guests import GuestSettings
from vedette_dev.images import Image
from vedette_dev.player import Attack, attacks

pytestmark = pytest.mark.device

QUICK = {"download and run", "setuid bit"}
"""What `.ci/run` plays."""


@pytest.fixture(scope="module")
def settings(image: Image, site: Site) -> GuestSettings:
    """With rules and playbooks of the run on the tests' disk, signed here."""
    drive = tests_disk.make(REPOSITORY, site.folder, prepared=prepared(site))
    return GuestSettings(data=data_of(image, site), drives=(drive,), forwards=site.forwards)


@pytest.fixture(scope="module")
def played(device: Device, request: pytest.FixtureRequest) -> Mapping[str, dict[str, Any]]:
    return device.play(chosen_attacks(request, test_an_attack_is_contained), is_enforced=True)


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(one, marks=pytest.mark.acceptance if one.name in QUICK else (), id=one.name)
        for one in attacks(REPOSITORY)
    ],
)
def test_an_attack_is_contained(attack: Attack, played: Mapping[str, dict[str, Any]]) -> None:
    said = played[attack.name]
    assert not said["is_missed"], said["reason"]
    if not said["by"]:
        pytest.skip(said["reason"])
    assert set(said["undone"]) <= {"undone"}


def prepared(site: Site) -> Path:
    """What enforces: rules narrowed to the run's word, playbooks for each, both signed."""
    folder = site.folder / "prepared"
    folder.mkdir()
    word = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(8))
    bundle = bundle_codec.decode(dsse.decode(site.bundle.read_bytes()).payload)
    wanted = with_twins(narrowed(bundle, word), word)
    keys = [identity.signer(site.desk.keys / f"{name}.key") for name in ("rules", "playbooks")]
    made = sealed_sets(wanted, playbooks_for(wanted), int(time.time()), *keys, is_promoted=True)
    (folder / in_guest.BUNDLE).write_bytes(made.bundle)
    (folder / in_guest.PLAYBOOKS).write_bytes(made.playbooks)
    (folder / in_guest.WORD).write_text(word)
    return folder
