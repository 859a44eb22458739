"""The words that start QEMU."""

from pathlib import Path

import pytest

from vedette.errors import RequestError
from vedette_dev.guests.machine import Wiring, argv
from vedette_dev.guests.settings import GuestSettings
from vedette_dev.images.target import ARCHES, target

DEVICE = GuestSettings()


def _words(
    settings: GuestSettings = DEVICE, arch: str = "arm64", loader: str = "uboot"
) -> list[str]:
    wiring = Wiring(
        disk=Path("/d/disk.img"),
        shell=Path("/s/shell"),
        monitor=Path("/s/monitor"),
        console=Path("/d/console.log"),
        bios=target(arch).loader if loader == "uboot" else None,
        settings=settings,
    )
    return argv(target(arch), "/usr/bin/qemu", "/usr/bin/socat", wiring)


@pytest.mark.parametrize("arch", ARCHES)
def test_a_device_is_emulated_and_started_by_its_boot_loader(arch: str) -> None:
    words = _words(arch=arch)
    assert words[words.index("-accel") + 1] == "tcg,thread=multi,tb-size=128"
    assert words[words.index("-bios") + 1] == str(target(arch).loader)
    assert "-no-reboot" in words
    assert ("i6300esb" in words) == target(arch).has_pci_watchdog


def test_a_device_of_grub_is_started_by_its_own_bios() -> None:
    assert "-bios" not in _words(arch="amd64", loader="grub")


def test_a_device_reaches_nothing_but_what_is_forwarded() -> None:
    words = _words(GuestSettings(forwards={"10.0.2.101:8883": 40001}))
    network = words[words.index("-netdev") + 1]
    assert network == (
        "user,id=n0,restrict=on,ipv6=off,"
        "guestfwd=tcp:10.0.2.101:8883-cmd:/usr/bin/socat - TCP\\:127.0.0.1\\:40001"
    )


@pytest.mark.parametrize("forward", [("10.0.2.1", 1), ("10.0.2.1:x", 1), ("10.0.2.1:1", 1 << 16)])
def test_a_forward_that_is_none_is_refused(forward: tuple[str, int]) -> None:
    with pytest.raises(RequestError, match="forwards: expected"):
        _words(GuestSettings(forwards=dict([forward])))


def test_the_disk_is_the_first_that_the_boot_loader_finds() -> None:
    words = _words(GuestSettings(drives=(Path("/d/tests.img"),), record=Path("/d/log")))
    devices = [word for word in words if word.startswith("virtio-blk-pci")]
    assert devices == ["virtio-blk-pci,drive=disk", "virtio-blk-pci,drive=more0"]
    assert any(word.startswith("driver=blklogwrites,node-name=disk") for word in words)
    assert any("file=/d/tests.img" in word and "readonly=on" in word for word in words)


def test_a_clock_may_start_in_1970() -> None:
    assert "-rtc" not in _words()
    words = _words(GuestSettings(rtc="1970-01-01T00:00:00"))
    assert words[words.index("-rtc") + 1] == "base=1970-01-01T00:00:00"


def test_a_device_for_a_person_restarts_by_itself_and_has_the_terminal() -> None:
    words = _words(GuestSettings(is_interactive=True))
    assert "-no-reboot" not in words
    assert words[words.index("-serial") + 1] == "mon:stdio"


def test_all_starts_of_a_device_are_said_into_one_file() -> None:
    words = _words()
    assert words[words.index("-serial") + 1] == "chardev:console"
    assert "file,id=console,path=/d/console.log,append=on" in words
