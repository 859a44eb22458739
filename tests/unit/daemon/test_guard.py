"""The guard's looks, over parts that are played: what it ends, tells once, and leaves alone."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from vedette.daemon import config as configuration
from vedette.daemon.guard import SILENT_S, Guard, Situation
from vedette.daemon.tamper_reports import TamperReports

CALM = Situation(pids={}, journal_trouble="", is_connected=True)


class Shell:
    """Keeps what is reported: condition, title, severity, fields, who did it."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def report(self, *told: Any) -> None:
        self.told.append(told)


class World:
    """A guard whose situation is data."""

    def __init__(self, folder: Path) -> None:
        for name in ("state", "run"):
            (folder / name).mkdir()
        self.file = folder / "vedette.toml"
        self.file.write_text(
            f'[paths]\nstate = "{folder}/state"\nrun = "{folder}/run"\n'
            f'[rules]\ntrust = "{folder}/trust.json"\nbundle = "{folder}/rules.bundle"\n'
            f'[identity]\nkey = "{folder}/device.key"\n'
        )
        self.situation = CALM
        self.shell = Shell()
        self.guard = Guard(
            configuration.load(self.file), self.file, TamperReports(cast("Any", self.shell)),
            situation=lambda: self.situation, who=lambda _: 0, reopen={},
        )  # fmt: skip

    def look(self, situation: Situation = CALM) -> list[str]:
        """What a look tells, by condition."""
        self.situation = situation
        self.shell.told.clear()
        self.guard.look()
        return [told[0] for told in self.shell.told]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def hanging() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_a_calm_device_is_told_nothing_of(world: World) -> None:
    for _ in range(13):
        assert world.look() == []


def test_an_uplink_that_hangs_is_ended_and_told(
    world: World, hanging: subprocess.Popen[bytes]
) -> None:
    owing = CALM._replace(pids={"uplink": hanging.pid}, uplink_silent_s=SILENT_S - 1)
    assert world.look(owing) == []
    assert hanging.poll() is None
    assert world.look(owing._replace(uplink_silent_s=SILENT_S)) == ["part-silent"]
    assert hanging.wait() == -signal.SIGKILL


def test_a_part_that_is_stopped_goes_on(world: World, hanging: subprocess.Popen[bytes]) -> None:
    os.kill(hanging.pid, signal.SIGSTOP)
    os.waitpid(hanging.pid, os.WUNTRACED)
    assert world.look(CALM._replace(pids={"keeper": hanging.pid})) == ["part-stopped"]
    assert os.WIFCONTINUED(os.waitpid(hanging.pid, os.WCONTINUED)[1])


def test_a_journal_in_memory_is_told_once_for_each_time(world: World) -> None:
    trouble = CALM._replace(journal_trouble="no space left on device")
    assert world.look(trouble) == ["journal-in-memory"]
    assert world.look(trouble) == []
    assert world.look() == []
    assert world.look(trouble) == ["journal-in-memory"]


def test_files_of_every_kind_are_looked_at(world: World, tmp_path: Path) -> None:
    assert world.look() == []
    for name in ("trust.json", "rules.bundle", "device.key"):
        (tmp_path / name).write_text("planted")
    world.file.write_text("# emptied\n")
    assert sorted(world.look()) == [
        "own-configuration-changed", "own-key-changed", "own-rules-changed", "own-trust-changed",
    ]  # fmt: skip
    assert world.look() == []
