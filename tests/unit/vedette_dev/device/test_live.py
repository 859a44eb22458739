"""A running device loses its power at a write, is judged, and starts again from what is left."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.simulators.emulated import HearsAll, emulated
from tests.unit.vedette_dev.device.test_power_cuts import (
    FIRMWARES,
    LAYOUT,
    OLD,
    disk,  # noqa: F401 (a fixture)
    pytestmark,  # noqa: F401 (debugfs is needed here too)
)

from vedette.errors import DeviceError
from vedette_dev.device import live
from vedette_dev.device.ledger import Ledger
from vedette_dev.device.power_cuts import Judge
from vedette_dev.device.recording import Recorded
from vedette_dev.device.volatile_disk import VolatileDisk
from vedette_dev.guests import Guest
from vedette_dev.images.layout import MIB
from vedette_dev.player import Arrivals

UPDATES = "updates:" + ",".join(
    str(part.start_bytes) for part in (LAYOUT.slot_b, LAYOUT.environment, LAYOUT.data)
)


class Town:
    """The host's side of a device that has told one thing, and perhaps that it has committed."""

    def __init__(self, word: str, counter: int = 0) -> None:
        self._told = word, counter

    @contextmanager
    def listening(self, on_heard: Callable[[str, int], None]) -> Iterator[Arrivals]:
        on_heard(*self._told)
        yield HearsAll()


class Play:
    """Live cuts of one emulated device, with the real judge."""

    def __init__(self, guest: Guest, folder: Path) -> None:
        self.guest, self._folder = guest, folder
        self.ledger = Ledger(folder / "ledger")

    def play(self, count: int, town: Town, plan: str = UPDATES) -> None:
        (self.guest.folder / "plan").write_text(plan)
        recorded = Recorded(self._folder, (), (), FIRMWARES, MIB, 0)
        live.play(
            count, 1, ledger=self.ledger, recorded=recorded, site=town,  # type: ignore[arg-type]
            guest=self.guest, make_judge=self._judge, folder=self._folder / "live",
            say=lambda _: None,
        )  # fmt: skip

    def _judge(self, volatile: VolatileDisk) -> Judge:
        return Judge(
            volatile, layout=LAYOUT, firmwares=FIRMWARES, image_bytes=MIB,
            folder=self._folder / "judged",
        )  # fmt: skip


@pytest.fixture
def play(disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:  # noqa: F811
    before = disk.rename(tmp_path / "disk-before.img")
    with emulated(before, LAYOUT, tmp_path, monkeypatch) as guest:
        yield Play(guest, tmp_path)


@pytest.mark.thorough
def test_one_device_lives_through_cuts_at_slot_environment_and_data(play: Play) -> None:
    play.play(3, Town("told"))
    assert [one.moment.rpartition(" ")[2] for one in play.ledger.live] == [
        "rootfs-b", "uboot-env", "data",
    ]  # fmt: skip
    assert {one.life for one in play.ledger.live} == {1}
    assert all(one.verdict.is_good and not one.start.wrong for one in play.ledger.live)
    assert sum(one.lost_writes for one in play.ledger.live) > 0
    assert not play.guest.is_running


@pytest.mark.thorough
def test_more_cuts_go_on_with_a_device_that_begins_anew(play: Play) -> None:
    play.play(1, Town("told"))
    play.play(2, Town("told"))
    assert [one.life for one in play.ledger.live] == [1, 2]


def test_what_was_told_and_is_not_on_the_disk_is_a_loss(play: Play) -> None:
    play.play(1, Town("never kept"))
    assert play.ledger.live[0].verdict.lost


def test_a_device_that_has_committed_is_cut_at_rest_and_another_one_begins(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "REST_S", 0.0)
    play.play(2, Town("told", counter=7), plan="well")
    assert [one.life for one in play.ledger.live] == [1, 2]
    assert all(one.moment.startswith("at rest, write ") for one in play.ledger.live)
    assert play.ledger.live[0].verdict.problems, "a commit that was told and is not on the disk"


@pytest.mark.thorough
def test_a_device_that_stands_still_after_a_cut_is_a_brick_and_another_one_begins(
    play: Play,
) -> None:
    play.play(2, Town("told"), plan=f"{UPDATES} still still {UPDATES}")
    first, second = play.ledger.live
    assert "it stands still" in first.start.wrong
    assert len(first.start.silent) == 2
    assert (second.life, second.start.wrong) == (2, "")


def test_a_device_that_no_cut_has_met_and_that_does_not_start_ends_the_campaign(
    play: Play,
) -> None:
    with pytest.raises(DeviceError, match="a device that no power cut has met"):
        play.play(1, Town("told"), plan="still")
    assert not play.guest.is_running


def test_the_firmware_of_these_tests_is_the_one_that_starts() -> None:
    assert FIRMWARES[hashlib.sha256(OLD).digest()] == "old"
