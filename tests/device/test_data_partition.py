"""A data partition that a power cut damaged is mended at the next start; a lost one is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.device._torn import tear

from vedette_dev.device import services
from vedette_dev.guests import Guest
from vedette_dev.images import Image, build

pytestmark = pytest.mark.device

KEPT = "echo kept >/var/lib/vedette/probe; sync"
BLOCK_BYTES = 4096
SUPERBLOCK_AT, SECTOR_BYTES = 1024, 512
"""Of an ext4 file system; the next copy of it is in block 32768."""
BACKUP_BLOCK = 32768


@pytest.fixture(scope="module")
def left(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The disk of a device whose power was cut right after something was written for good."""
    with Guest(image, tmp_path_factory.mktemp("left")) as guest:
        guest.boot()
        guest.check(KEPT)
        guest.power_off()
        yield guest.disk


@pytest.fixture
def guest(image: Image, left: Path, tmp_path: Path) -> Iterator[Guest]:
    """A device with that disk; it is off."""
    with Guest(image, tmp_path / "guest") as guest:
        build.copy(left, guest.disk)
        yield guest


def _damage(guest: Guest, at: int, size: int) -> None:
    tear(guest.disk, guest.image.layout.data.start_bytes + at, size)


@pytest.mark.parametrize("sector", [0, 1], ids=["the first half", "the second half"])
def test_a_torn_superblock_loses_nothing(sector: int, guest: Guest) -> None:
    _damage(guest, SUPERBLOCK_AT + sector * SECTOR_BYTES, SECTOR_BYTES)
    guest.boot()
    assert guest.check("cat /var/lib/vedette/probe") == "kept\n"
    assert guest.check("findmnt -n -o FSTYPE /data").strip() == "ext4"
    assert "initrd: e2fsck -p" in guest.check("dmesg")
    guest.reboot()  # mended for good: the next start has nothing to say
    assert "initrd: e2fsck" not in guest.check("dmesg")


def test_a_device_that_runs_in_memory_says_so(guest: Guest) -> None:
    for block in (0, BACKUP_BLOCK):
        _damage(guest, block * BLOCK_BYTES, BLOCK_BYTES)
    guest.boot()
    assert "nothing that is written outlives this start" in guest.check("dmesg")
    guest.check(f"systemctl start {services.AGENT}", deadline_s=services.READY_S)
    said = guest.run("vedette doctor --json", deadline_s=90).output
    facts = {fact["name"]: fact for fact in json.loads(said.splitlines()[-1])["facts"]}
    assert not facts["flash"]["good"]
    assert "gone after a reboot" in facts["flash"]["advice"]
    guest.await_true("vedette incidents list --json | grep -q vedette:state-in-memory")
