"""Watching a firmware: until the gate decides, and no longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.simulators.firmware_around import MemoryAround
from tests.simulators.images import MemoryImage, firmware, image, index_file
from tests.simulators.memory_state import MemoryState
from tests.simulators.sentinel_stand_in import SentinelStandIn

from vedette.core.health_gate import AgentHealth, GateLimits
from vedette.daemon import config as configuration
from vedette.daemon.config import Config
from vedette.daemon.installer.firmware import FirmwareInstaller, Next
from vedette.daemon.installer.firmware_watch import Look, look_at_device, watch
from vedette.model.essential import Probed
from vedette.model.firmware import FirmwareState
from vedette.ports.slot_backend import SlotContext
from vedette.slots.directory import DirectoryBackend
from vedette.store import durable
from vedette.store.firmware import FirmwareStore

LIMITS = GateLimits(settle_s=60, trial_s=600, late_s=300)
WELL = Look(AgentHealth(), ())
UNWELL = Look(AgentHealth(reasons=("no rules are loaded",)), ())
CONTENT = image(1, 5000)


class Trial:
    """A device in its trial, whose clock goes on by ten seconds with each pause."""

    def __init__(self, folder: Path, late_rollback_s: int) -> None:
        self.boot_loader = DirectoryBackend(SlotContext(folder, durable.write))
        self.store = FirmwareStore(MemoryState())
        self.around = MemoryAround()
        self.now_s = 30.0
        installer = self.installer()
        installer.offer(firmware(CONTENT, late_rollback_s=late_rollback_s))
        installer.install(MemoryImage(CONTENT), index_file(folder, CONTENT))
        installer.arm()
        self.boot_loader.boot()
        self.installer().recover()

    def installer(self) -> FirmwareInstaller:
        return FirmwareInstaller(self.boot_loader, self.store, self.around)

    def watch(self, looks: Iterator[Look]) -> Next:
        return watch(
            self.installer(), lambda: next(looks), LIMITS, pause=self._pause,
            boot_s=lambda: self.now_s,
        )  # fmt: skip

    def _pause(self) -> None:
        self.now_s += 10


def again(*looks: Look) -> Iterator[Look]:
    yield from looks
    while True:
        yield looks[-1]


def test_a_trial_that_is_well_is_committed_after_a_while(tmp_path: Path) -> None:
    trial = Trial(tmp_path, 0)
    assert trial.watch(again(UNWELL, WELL)) is Next.NOTHING
    assert trial.now_s == 100
    assert trial.installer().record.state is FirmwareState.COMMITTED


def test_a_trial_that_stays_unwell_goes_back_in_time(tmp_path: Path) -> None:
    trial = Trial(tmp_path, 0)
    assert trial.watch(again(UNWELL)) is Next.RESTART
    assert trial.now_s == 600
    assert trial.around.reasons[-1] == "after 600 s: no rules are loaded"


def test_a_committed_one_is_looked_at_once_while_it_is_well(tmp_path: Path) -> None:
    trial = Trial(tmp_path, 3600)
    assert trial.watch(again(WELL)) is Next.WATCH
    trial.now_s = 1000
    assert trial.watch(iter([WELL])) is Next.WATCH
    assert trial.installer().record.window_left_s == 2600
    trial.now_s = 4000
    assert trial.watch(iter([WELL])) is Next.NOTHING
    assert trial.around.floor == 2


def test_a_committed_one_that_becomes_unwell_goes_back_within_its_window(tmp_path: Path) -> None:
    trial = Trial(tmp_path, 3600)
    trial.watch(again(WELL))
    trial.now_s = 1000
    assert trial.watch(again(UNWELL)) is Next.RESTART
    assert trial.now_s == 1300
    assert trial.installer().record.state is FirmwareState.ROLLED_BACK


def test_one_that_is_unwell_when_its_window_ends_stays(tmp_path: Path) -> None:
    trial = Trial(tmp_path, 1200)
    trial.watch(again(WELL))
    trial.now_s = 1150
    assert trial.watch(again(UNWELL)) is Next.NOTHING
    assert trial.installer().record.state is FirmwareState.COMMITTED
    assert trial.around.floor == 2


@pytest.fixture
def config(tmp_path: Path) -> Config:
    text = f'[paths]\nstate = "{tmp_path}/s"\nrun = "{tmp_path}"\n[firmware.health.page]\nport = 80'
    return configuration.parse(text, "t")


def test_a_sentinel_is_asked_for_its_health_and_for_probes(config: Config) -> None:
    with SentinelStandIn(config.control_socket) as sentinel:
        sentinel.reasons, sentinel.critical = ["no rules are loaded"], 2
        sentinel.probes = [{"name": "page", "up": False, "detail": "refused"}, {"name": 3}]
        found = look_at_device(config)
    assert found.agent == AgentHealth(("no rules are loaded",), 2)
    assert found.probes == (Probed("page", False, "refused", ()), Probed("3", False, "None", ()))


def test_a_sentinel_that_does_not_answer_is_unwell(config: Config) -> None:
    found = look_at_device(config)
    assert "does not run" in found.agent.reasons[0]
    assert not found.probes[0].is_up
