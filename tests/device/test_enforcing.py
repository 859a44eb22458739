"""A device contains each attack where its playbooks enforce, undoes that, and tells the fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.device._device import REPOSITORY, Device, chosen_attacks, data_of
from tests.device._enforced import prepared

from vedette_dev.device import tests_disk
from vedette_dev.device.site import Site
from vedette_dev.guests import GuestSettings
from vedette_dev.images import Image
from vedette_dev.player import Attack, attacks

pytestmark = pytest.mark.device


@pytest.fixture(scope="module")
def settings(image: Image, site: Site) -> GuestSettings:
    """With rules and playbooks of the run on the tests' disk, signed here."""
    drive = tests_disk.make(REPOSITORY, site.folder, prepared=prepared(site))
    return GuestSettings(data=data_of(image, site), drives=(drive,), forwards=site.forwards)


@pytest.fixture(scope="module")
def played(device: Device, request: pytest.FixtureRequest) -> Mapping[str, dict[str, Any]]:
    return device.play(chosen_attacks(request, test_an_attack_is_contained), is_enforced=True)


@pytest.mark.parametrize("attack", attacks(REPOSITORY), ids=lambda one: one.name)
def test_an_attack_is_contained(attack: Attack, played: Mapping[str, dict[str, Any]]) -> None:
    said = played[attack.name]
    assert not said["is_missed"], said["reason"]
    if not said["by"]:
        pytest.skip(said["reason"])
    assert set(said["undone"]) <= {"undone"}
