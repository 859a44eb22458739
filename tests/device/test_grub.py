"""x86-64 started by GRUB: what our back-end arms and commits is what the real GRUB starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.device._device import ARCH
from tests.device._starts import backend, started

from vedette_dev.guests import Guest
from vedette_dev.images import built, disk

pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(ARCH != "amd64", reason="GRUB starts x86-64 alone"),
]


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    """A device with a firmware in each slot, booted."""
    image = built("amd64", loader="grub")
    with Guest(image, tmp_path / "guest") as guest:
        disk.put(guest.disk, image.layout.slot_b, image.slot_image)
        guest.boot()
        yield guest


def test_a_trial_that_is_committed_stays(guest: Guest) -> None:
    assert backend(guest, "grub", "backend.booted(), backend.plan()") == (
        "a BootPlan(committed='a', trial='', tries_left=0)"
    )
    backend(guest, "grub", "backend.arm('b')")
    guest.reboot()
    assert guest.slot() == "b"
    assert backend(guest, "grub", "backend.booted(), backend.plan()") == (
        "b BootPlan(committed='a', trial='b', tries_left=2)"
    )
    backend(guest, "grub", "backend.commit('b')")
    guest.shut_down()
    assert [started(guest) for _ in range(2)] == [("b", ""), ("b", "")]


def test_a_trial_that_nobody_commits_is_tried_three_times(guest: Guest) -> None:
    backend(guest, "grub", "backend.arm('b')")
    guest.shut_down()
    assert [started(guest) for _ in range(5)] == [
        ("b", "2"), ("b", "1"), ("b", "0"), ("a", ""), ("a", ""),
    ]  # fmt: skip
