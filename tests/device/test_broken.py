"""A device that does not start, or hangs: one clear error, and nothing of it goes on running."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from vedette.errors import DeviceError
from vedette_dev.guests import Guest
from vedette_dev.images import Image

pytestmark = pytest.mark.device

SHORT_S = 15.0
"""A boot loader is there after a second; what is broken gets no further for being waited for."""


@pytest.fixture
def guest(image: Image, tmp_path: Path) -> Iterator[Guest]:
    """A device that is off."""
    with Guest(image, tmp_path / "guest") as guest:
        yield guest


def test_an_image_that_does_not_boot_is_told_with_its_console(guest: Guest) -> None:
    with guest.disk.open("r+b") as disk:
        disk.write(bytes(guest.image.layout.slot_a.start_bytes))
    with pytest.raises(DeviceError) as told:
        guest.boot(SHORT_S)
    assert "did not start" in str(told.value)
    assert str(guest.console.path) in str(told.value)
    ends_with_guest(guest)


def test_a_device_that_hangs_is_told_with_its_console(guest: Guest) -> None:
    guest.boot()
    guest.monitor("stop")
    with pytest.raises(DeviceError) as told:
        guest.run("true", deadline_s=1)
    assert "'true': no answer from the root shell in time" in str(told.value)
    assert str(guest.console.path) in str(told.value)
    ends_with_guest(guest)


def ends_with_guest(guest: Guest) -> None:
    """QEMU waits for whatever may come; it must not outlive its context."""
    held = os.pidfd_open(guest.pid)
    try:
        guest.__exit__(None, None, None)
        ended = select.poll()
        ended.register(held, select.POLLIN)  # pidfd_open(2): readable when it has ended
        assert ended.poll(0)
    finally:
        os.close(held)
