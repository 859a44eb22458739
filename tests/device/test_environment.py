"""Of the two copies of U-Boot's environment one may be torn: the device starts, and mends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.device._starts import backend
from tests.device._torn import tear

from vedette_dev.device import services
from vedette_dev.guests import Guest
from vedette_dev.images import Image, disk

pytestmark = pytest.mark.device

TORN = 512


@pytest.fixture(scope="module")
def guest(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A device that is off between two tests."""
    with Guest(image, tmp_path_factory.mktemp("guest")) as guest:
        yield guest


@pytest.mark.parametrize("copy", [0, 1], ids=["the first", "the second"])
def test_a_torn_copy_costs_nothing_and_is_whole_after_the_next_step(
    copy: int, guest: Guest
) -> None:
    layout = guest.image.layout
    tear(guest.disk, layout.environment_copy(copy), TORN)
    assert disk.read_environment(guest.disk, layout, copy) is None
    guest.boot()
    assert guest.slot() == "a"
    guest.check(f"systemctl start {services.AGENT}", deadline_s=services.READY_S)
    assert backend(guest, "uboot", "backend.plan()").startswith("BootPlan(committed='a'")
    backend(guest, "uboot", "backend.commit('a')")
    guest.check("sync")
    guest.power_off()
    for number in (0, 1):
        found = disk.read_environment(guest.disk, layout, number)
        assert found is not None, f"copy {number} is damaged"
        assert found["bslot"] == "a"
