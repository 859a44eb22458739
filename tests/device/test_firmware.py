"""Firmware on a device with two slots: U-Boot, kernel, systemd and agent are the real ones.

Each test goes on where the one before ended: the device has the firmware that it committed last.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.device._device import Device, data_of
from tests.device._firmware import back_on, plan, release, version

from vedette.model.update import Cause, Step
from vedette_dev.device import firmwares
from vedette_dev.device.site import FIRMWARE, Site
from vedette_dev.guests import GuestSettings
from vedette_dev.images import Image

pytestmark = pytest.mark.device

BOOT_CHANGED = "e1c0b017-fc9d-4793-b7ca-33b7c069e532"
"""Rules of ours tell who writes U-Boot's environment; an update of the device's own is nobody."""


@pytest.fixture(scope="module")
def settings(image: Image, site: Site) -> GuestSettings:
    # Each start of a firmware that hangs lasts until the watchdog bites, more than a minute.
    # That U-Boot counts three down is in test_images.py.
    data = data_of(image, site, {"firmware": {**FIRMWARE, "tries": 2}})
    return GuestSettings(data=data, forwards=site.forwards)


def test_a_good_firmware_is_tried_and_committed(
    device: Device, image: Image, tmp_path: Path
) -> None:
    assert device.guest.slot() == "a"
    device.site.desk.copy_served("kept")
    release(device, firmwares.good, image, tmp_path, "2.0")
    assert device.guest.slot() == "b"
    assert version(device) == "2.0"
    device.site.steps.await_step(Step.COMMITTED, "firmware")
    assert plan(device) == {"bslot": "b", "tslot": "", "tries": ""}
    assert not device.site.steps.has_incident(BOOT_CHANGED)


def test_a_firmware_that_fails_its_health_gate_goes_back(
    device: Device, image: Image, tmp_path: Path
) -> None:
    release(device, firmwares.unwell, image, tmp_path, "3.0")
    heard = device.site.steps.await_step(Step.ROLLED_BACK, "firmware", Cause.HEALTH)
    assert "service" in heard[-1].reason
    device.site.steps.await_incident("vedette:update-health", " 3.0")
    back_on("b", device)
    assert version(device) == "2.0"


def test_a_firmware_whose_kernel_panics_goes_back(
    device: Device, image: Image, tmp_path: Path
) -> None:
    release(device, firmwares.panics, image, tmp_path, "4.0")
    device.site.steps.await_step(Step.ROLLED_BACK, "firmware", Cause.TIMEOUT)
    device.site.steps.await_incident("vedette:update-timeout", " 4.0")
    back_on("b", device)
    assert version(device) == "2.0"


def test_a_firmware_that_hangs_is_ended_by_the_watchdog_and_goes_back(
    device: Device, image: Image, tmp_path: Path
) -> None:
    release(device, firmwares.hangs, image, tmp_path, "5.0")
    device.site.steps.await_step(Step.ROLLED_BACK, "firmware", Cause.TIMEOUT)
    device.site.steps.await_incident("vedette:update-timeout", " 5.0")
    back_on("b", device)
    assert version(device) == "2.0"


def test_a_repository_of_before_the_newest_firmware_is_refused(device: Device) -> None:
    device.site.desk.serve_instead(device.site.folder / "kept")
    device.look_for_releases()
    device.site.steps.await_step(Step.REFUSED, "", Cause.OLDER)
    device.site.steps.await_incident("vedette:update-older")
    assert version(device) == "2.0"
