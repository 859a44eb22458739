"""A device whose clock stands at 1970 when it starts watches, signs, and reaches its broker."""

from __future__ import annotations

import time

import pytest
from tests.device._device import REPOSITORY, Device, data_of

from vedette_dev.device import suspicion, tests_disk
from vedette_dev.device.site import Site
from vedette_dev.guests import GuestSettings
from vedette_dev.images import Image

pytestmark = pytest.mark.device


@pytest.fixture(scope="module")
def settings(image: Image, site: Site) -> GuestSettings:
    return GuestSettings(
        data=data_of(image, site),
        drives=(tests_disk.make(REPOSITORY, site.folder),),
        forwards=site.forwards,
        rtc="1970-01-01T00:00:05",
    )


BEHIND_S = 2 * 86400
"""Its certificate is of yesterday; systemd starts at its own release at the earliest."""


def test_it_is_heard_and_tells_what_happens(device: Device) -> None:
    assert int(device.guest.check("date +%s")) < time.time() - BEHIND_S
    word = suspicion.new_word()
    device.guest.check(suspicion.command(word))
    device.expect_arrival(("attack.",), (word,))
