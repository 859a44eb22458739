"""A device takes a firmware: released, written, started, and what U-Boot has in mind then."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from tests.device._device import Device

from vedette.errors import DeviceError
from vedette_dev.device import firmwares
from vedette_dev.images import Image

UPDATE_S = 900.0
RESET_S = 120.0
UNIT = "vedette-test-update"
LAUNCHES = 6
"""A try each for three starts of the new firmware, one for the old, and some to spare."""
Make = Callable[[Path, Path, str], Path]


def release(device: Device, make: Make, image: Image, folder: Path, name: str) -> None:
    """Publish a firmware, have the device take it, and start until somebody answers."""
    made = make(image.slot_image, folder / f"{name}.img", name)
    device.site.desk.release_firmware(made, name)
    made.unlink()
    _take(device)
    device.start_until_shell(LAUNCHES)
    device.await_agent()


def _take(device: Device) -> None:
    """Have it look for releases, and wait until it starts anew for one."""
    device.await_update()
    # In a unit of its own: the device ends in the middle of the shell's answer otherwise.
    look = f"systemd-run --quiet --wait --collect --unit={UNIT} vedette update run --now"
    with contextlib.suppress(DeviceError):  # it went off meanwhile; if it did not, that is told now
        ended = device.guest.run(look, deadline_s=UPDATE_S)
        said = device.guest.run(f"journalctl --no-pager -u {UNIT} | tail -n 20").output
        assert ended.code == 0, f"the update left with {ended.code}:\n{said}\n{device.log()}"
    device.guest.await_reset(RESET_S)


def back_on(slot: str, device: Device) -> None:
    """Wait until the device runs its committed firmware again, by itself."""
    if device.guest.slot() != slot:  # the health gate has just asked for the start
        device.guest.await_reset(RESET_S)
        device.start_until_shell(LAUNCHES)
        device.await_agent()
    assert device.guest.slot() == slot
    assert plan(device)["bslot"] == slot


def version(device: Device) -> str:
    """Of the firmware that runs."""
    return device.guest.check(f"cat {firmwares.VERSION}").strip()


def plan(device: Device) -> dict[str, str]:
    """What U-Boot reads next."""
    text = device.guest.check("fw_printenv -c /etc/fw_env.config")
    found = dict(line.partition("=")[::2] for line in text.splitlines())
    return {name: found.get(name, "") for name in ("bslot", "tslot", "tries")}
