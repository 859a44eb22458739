"""A device that stands still is started once again, and counted; a second time it is a brick."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.simulators.emulated import HearsAll, emulated

from vedette_dev.device import starts
from vedette_dev.device.ledger import Start
from vedette_dev.guests import Guest
from vedette_dev.images.layout import MIB, layout


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guest]:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(MIB))
    with emulated(disk, layout(MIB), tmp_path, monkeypatch) as made:
        yield made


def started(device: Guest, plan: str) -> tuple[Start, list[Path]]:
    (device.folder / "plan").write_text(plan)
    placed: list[Path] = []

    def place_disk() -> None:
        placed.append(device.disk)
        shutil.copy(device.image.disk, device.disk)

    return starts.start(device, HearsAll(), place_disk), placed


def test_a_device_that_is_heard_is_well(device: Guest) -> None:
    found, placed = started(device, "well")
    assert (found.wrong, found.silent, len(placed)) == ("", (), 1)


def test_a_start_that_stands_still_is_repeated_from_the_same_disk_and_told(device: Guest) -> None:
    found, placed = started(device, "still well")
    assert (found.wrong, len(placed)) == ("", 2)
    [place] = found.silent
    told = Path(place).read_text()
    assert "Starting kernel ... (still)" in told
    assert told.count("RIP=") == 3


def test_a_cut_after_which_it_stands_still_twice_is_a_brick(device: Guest) -> None:
    found, placed = started(device, "still still well")
    assert "it stands still: neither its console nor its disk moved" in found.wrong
    assert str(device.console.path) in found.wrong
    assert len(placed) == len(found.silent) == len(set(found.silent)) == 2


def test_a_device_that_moves_and_never_answers_is_not_repeated(
    device: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starts, "BOOT_S", 1.5)
    found, placed = started(device, "moves well")
    assert "the root shell did not answer" in found.wrong
    assert (found.silent, len(placed)) == ((), 1)


def test_a_device_may_restart_by_itself_but_not_for_ever(device: Guest) -> None:
    assert started(device, "resets resets well")[0].wrong == ""
    device.power_off()
    found, placed = started(device, "resets")
    assert f"it started {starts.LAUNCHES} times and never stayed" in found.wrong
    assert len(placed) == 1
