"""What `.ci/run` plays: a device watches, is attacked, defends itself, and drops a bad firmware.

One device for all, and a few of what the other files play whole: a start under emulation takes most
of a minute. Each test goes on where the one before ended. `make qemu-test` plays only the others.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.device import _firmware
from tests.device._device import ARCH, BEST, REPOSITORY, Device, data_of
from tests.device._enforced import prepared

from vedette.model.update import Cause, Step
from vedette_dev.device import firmwares, tests_disk
from vedette_dev.device.site import FIRMWARE, Site
from vedette_dev.guests import GuestSettings
from vedette_dev.images import Image
from vedette_dev.player import attacks

pytestmark = [pytest.mark.device, pytest.mark.acceptance]

OBSERVED = ("cron drop", "download and run", "memory execution")
"""Told by the sources of files, processes and kernel."""
CONTAINED = "download and run"


@pytest.fixture(scope="module")
def settings(image: Image, site: Site) -> GuestSettings:
    drive = tests_disk.make(REPOSITORY, site.folder, prepared=prepared(site))
    # One start is enough for U-Boot to count to its end; test_firmware.py has all three.
    data = data_of(image, site, {"firmware": {**FIRMWARE, "tries": 1}})
    return GuestSettings(data=data, drives=(drive,), forwards=site.forwards)


def test_the_best_sources_watch(device: Device) -> None:
    tiers = device.tiers()
    assert {name: tiers.get(name) for name in BEST[ARCH]} == BEST[ARCH]


def test_attacks_arrive_at_the_broker_with_good_signatures(device: Device) -> None:
    played = device.play(OBSERVED)
    for attack in attacks(REPOSITORY):
        if attack.name in OBSERVED:
            said = played[attack.name]
            assert said["is_found"], f"{attack.name}: {said['reason']}"
            for expected in attack.steps:
                device.expect_arrival(expected, said["words"])


def test_an_attack_is_contained(device: Device) -> None:
    said = device.play([CONTAINED], is_enforced=True)[CONTAINED]
    assert said["by"], said["reason"]
    assert set(said["undone"]) <= {"undone"}


def test_a_firmware_that_panics_goes_back_by_itself(
    device: Device, image: Image, tmp_path: Path
) -> None:
    assert device.guest.slot() == "a"
    starts = device.guest.boots
    _firmware.release(device, firmwares.panics, image, tmp_path, "2.0")
    assert device.guest.boots > starts + 1, "slot b was never started"
    device.site.steps.await_step(Step.ROLLED_BACK, "firmware", Cause.TIMEOUT)
    device.site.steps.await_incident("vedette:update-timeout", " 2.0")
    _firmware.back_on("a", device)
