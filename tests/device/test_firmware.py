"""Firmware on a device with two slots: U-Boot, kernel, systemd and agent are the real ones.

Each test goes on where the one before ended: the device has the firmware that it committed last.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.device._device import Device

from vedette.model.update import Cause, Step
from vedette_dev.device import firmwares
from vedette_dev.images import Image

pytestmark = pytest.mark.device

UPDATE_S = 900.0
LAUNCHES = 6
"""A try each for three starts of the new firmware, one for the old, and some to spare."""
Make = Callable[[Path, Path, str], Path]


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


def test_a_firmware_that_fails_its_health_gate_goes_back(
    device: Device, image: Image, tmp_path: Path
) -> None:
    release(device, firmwares.unwell, image, tmp_path, "3.0")
    heard = device.site.steps.await_step(Step.ROLLED_BACK, "firmware", Cause.HEALTH)
    assert "service" in heard[-1].reason
    device.site.steps.await_incident("vedette:update-health")
    back_on_b(device)


def test_a_firmware_whose_kernel_panics_goes_back(
    device: Device, image: Image, tmp_path: Path
) -> None:
    release(device, firmwares.panics, image, tmp_path, "4.0")
    device.site.steps.await_step(Step.ROLLED_BACK, "firmware", Cause.TIMEOUT)
    device.site.steps.await_incident("vedette:update-timeout")
    back_on_b(device)


def test_a_firmware_that_hangs_is_ended_by_the_watchdog_and_goes_back(
    device: Device, image: Image, tmp_path: Path
) -> None:
    release(device, firmwares.hangs, image, tmp_path, "5.0")
    device.site.steps.await_step(Step.ROLLED_BACK, "firmware", Cause.TIMEOUT)
    back_on_b(device)


def test_a_repository_of_before_the_newest_firmware_is_refused(device: Device) -> None:
    device.site.desk.serve_instead(device.site.folder / "kept")
    device.guest.run("vedette update run --now", deadline_s=UPDATE_S)
    device.site.steps.await_step(Step.REFUSED, "", Cause.OLDER)
    device.site.steps.await_incident("vedette:update-older")
    assert version(device) == "2.0"


def release(device: Device, make: Make, image: Image, folder: Path, name: str) -> None:
    """Publish a firmware, have the device take it, and start until somebody answers."""
    made = make(image.slot_image, folder / f"{name}.img", name)
    device.site.desk.release_firmware(made, name)
    made.unlink()
    # In a unit of its own: the device starts anew in the middle of an answer otherwise.
    device.guest.check("systemd-run --quiet --no-block vedette update run --now")
    device.guest.await_reset(UPDATE_S)
    device.start_until_shell(LAUNCHES)
    device.await_agent()


def back_on_b(device: Device) -> None:
    if device.guest.slot() != "b":  # the health gate has just asked for the start
        device.guest.await_reset(180)
        device.start_until_shell(LAUNCHES)
        device.await_agent()
    assert device.guest.slot() == "b"
    assert version(device) == "2.0"
    assert plan(device)["bslot"] == "b"


def version(device: Device) -> str:
    return device.guest.check(f"cat {firmwares.VERSION}").strip()


def plan(device: Device) -> dict[str, str]:
    """What U-Boot reads next."""
    text = device.guest.check("fw_printenv -c /etc/fw_env.config")
    found = dict(line.partition("=")[::2] for line in text.splitlines())
    return {name: found.get(name, "") for name in ("bslot", "tslot", "tries")}
