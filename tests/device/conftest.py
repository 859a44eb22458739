"""Booted devices, shared by the tests of a module: a boot under emulation takes a while."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.device._device import ARCH, REPOSITORY, Device, data_of
from tests.device._report import Outcomes

from vedette_dev.device import tests_disk
from vedette_dev.device.site import Site
from vedette_dev.guests import Guest, GuestSettings
from vedette_dev.images import Image, built

TEST_S = 1800


def pytest_configure(config: pytest.Config) -> None:
    """Keep how each test ends, for the report."""
    if ARCH:
        config.pluginmanager.register(Outcomes())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what boots a device where nobody asked for that; give the rest its time."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_S))
            if not ARCH:
                item.add_marker(pytest.mark.skip(reason="boots devices: make qemu-test"))


@pytest.fixture(scope="session")
def image() -> Image:
    return built(ARCH)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with Site(folder, f"qemu-{ARCH}", rules=REPOSITORY / "rules") as site:
        yield site


@pytest.fixture(scope="module")
def settings(image: Image, site: Site) -> GuestSettings:
    """Of the module's guest; a module may have its own."""
    return GuestSettings(
        data=data_of(image, site),
        drives=(tests_disk.make(REPOSITORY, site.folder),),
        forwards=site.forwards,
    )


@pytest.fixture(scope="module")
def device(image: Image, site: Site, settings: GuestSettings) -> Iterator[Device]:
    """A guest that has booted, and whose agent was heard."""
    with Guest(image, site.folder / "guest", settings) as guest:
        found = Device(site, guest)
        found.boot()
        yield found
