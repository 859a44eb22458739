"""The sentinel only asks: at its start, at random times, for a person; untaken, it is told."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from vedette.daemon import update_request, update_schedule
from vedette.daemon.config import Config, Paths
from vedette.daemon.update_options import Updates
from vedette.daemon.update_request import UpdateRequest
from vedette.daemon.update_schedule import UpdateSchedule


class Stage:
    """Whoever keeps the agent: takes what is asked for when it is woken."""

    def __init__(self, folder: Path, *, is_enabled: bool = True) -> None:
        self.config = dataclasses.replace(
            Config(),
            paths=Paths(str(folder), str(folder)),
            updates=Updates(enabled=is_enabled, source="/srv/repository", every_m=0),
        )
        self.taken: list[UpdateRequest | None] = []
        self.findings: list[str] = []
        self.is_listening = True
        self.schedule = UpdateSchedule(self.config, self.report, self.wake, taken_s=0.06)

    def wake(self) -> bool:
        if self.is_listening:
            self.taken.append(update_request.take(self.config.update_request))
        return self.is_listening

    def report(self, condition: str, *_: Any) -> None:
        self.findings.append(condition)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_at_its_start_what_a_reboot_left_open_is_asked_for(stage: Stage) -> None:
    asyncio.run(stage.schedule.run())
    assert stage.taken == [UpdateRequest("boot")]


def test_a_device_without_a_source_asks_for_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path, is_enabled=False)
    asyncio.run(stage.schedule.run())
    assert "take no releases" in asyncio.run(stage.schedule.ask("schedule"))
    assert stage.taken == []


def test_a_person_waits_for_no_window_and_may_go_back(stage: Stage) -> None:
    by = "operator:0123456789abcdef:7"
    assert asyncio.run(stage.schedule.ask(by)) == ""
    assert asyncio.run(stage.schedule.ask(by, rollback="firmware")) == ""
    assert stage.taken == [UpdateRequest(by, is_now=True), UpdateRequest(by, rollback="firmware")]


def test_a_request_that_nobody_takes_is_told_once(stage: Stage) -> None:
    stage.is_listening = False
    for _ in range(2):
        assert "did not take" in asyncio.run(stage.schedule.ask("schedule"))
    assert stage.findings == ["update-not-started"]


def test_a_run_folder_that_is_gone_is_said(stage: Stage, tmp_path: Path) -> None:
    stage.config = dataclasses.replace(stage.config, paths=Paths("/s", str(tmp_path / "gone")))
    schedule = UpdateSchedule(stage.config, stage.report, stage.wake)
    assert "cannot be written" in asyncio.run(schedule.ask("schedule"))


class Nights:
    """Time as data: each sleep is noted and over at once; the fourth look is the last."""

    def __init__(self, stage: Stage, *, reaches: bool) -> None:
        self.slept: list[float] = []
        self._stage, self._reaches = stage, reaches

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        looks = len(self._stage.taken) - 1
        if looks and self._reaches:
            os.utime(self._stage.config.update_reached, ns=(looks, looks))
        if looks == 4:
            raise asyncio.CancelledError


def pauses(stage: Stage, monkeypatch: pytest.MonkeyPatch, *, reaches: bool) -> list[float]:
    """Seconds between two looks of a schedule of an hour, the dice in the middle."""
    stage.config = dataclasses.replace(
        stage.config, updates=dataclasses.replace(stage.config.updates, every_m=60)
    )
    monkeypatch.setattr(update_schedule, "_chance", lambda: 0.5)
    stage.config.update_reached.touch()
    nights = Nights(stage, reaches=reaches)
    schedule = UpdateSchedule(
        stage.config, stage.report, stage.wake, taken_s=0.06, sleep=nights.sleep
    )
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(schedule.run())
    both = nights.slept[: len(nights.slept) // 2 * 2]
    return [sum(pair) for pair in zip(both[::2], both[1::2], strict=True)]


def test_looks_that_fail_come_at_ever_longer_pauses(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pauses(stage, monkeypatch, reaches=False) == [3600, 7200, 14400, 28800]


def test_a_look_that_reached_its_source_is_followed_by_the_usual_pause(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pauses(stage, monkeypatch, reaches=True) == [3600, 3600, 3600, 3600]


REQUESTS = [
    UpdateRequest("schedule"), UpdateRequest("boot"), UpdateRequest("control", is_now=True),
    UpdateRequest("operator:0123456789abcdef:7", rollback="rules"),
]  # fmt: skip


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_a_request_is_taken_once_as_it_was_written(tmp_path: Path, request_: UpdateRequest) -> None:
    path = tmp_path / "update.request"
    update_request.write(path, request_)
    assert update_request.take(path) == request_
    assert update_request.take(path) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"schedule", b"root\n", b"schedule now rollback rules\n", b"schedule\nboot\n",
     b"operator:../../x:1\n", b"schedule rollback trust\n", b"x" * 4096, b"\xff\xfe\n"],
)  # fmt: skip
def test_what_is_no_request_asks_for_nothing_and_is_taken_away(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "update.request"
    path.write_bytes(data)
    assert update_request.take(path) is None
    assert list(tmp_path.iterdir()) == []


def test_what_would_not_be_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a request"):
        update_request.write(tmp_path / "update.request", UpdateRequest("somebody\nboot"))
