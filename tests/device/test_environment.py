"""Of the two copies of U-Boot's environment one may be torn; the device starts, and mends it."""

from __future__ import annotations

import pytest
from tests.device._device import Device

from vedette_dev.images import Image

pytestmark = pytest.mark.device

COPY_BYTES = 0x1000
TORN = 512


@pytest.mark.parametrize("copy", [0, 1], ids=["the first", "the second"])
def test_a_torn_copy_costs_nothing(copy: int, device: Device, image: Image) -> None:
    slot = device.guest.slot()
    device.guest.check("sync")
    device.guest.power_off()
    start = image.layout.environment.start_bytes + copy * COPY_BYTES
    with device.guest.disk.open("r+b") as disk:
        disk.seek(start)
        before = disk.read(TORN)
        disk.seek(start)
        disk.write(bytes(byte ^ 0xFF for byte in before))
    device.guest.boot()
    device.await_agent()
    assert device.guest.slot() == slot
