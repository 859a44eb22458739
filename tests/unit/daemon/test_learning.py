"""A learning run as the sentinel keeps it: begun, ended, kept, and never thrown away unasked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from tests.simulators.memory_state import MemoryShelf

from vedette.codec.learning_run import decode
from vedette.codec.profile import decode_draft
from vedette.core.agent import Agent, AgentSettings
from vedette.core.inputs import Input
from vedette.daemon import learning
from vedette.daemon.learning import FILE, IDLE_SAVE_S, SAVE_S, Learning
from vedette.daemon.own_reports import OwnReports
from vedette.daemon.shell import Shell
from vedette.errors import RequestError, StoreError

BOOT, NEXT_BOOT = "0" * 32, "1" * 32


class Told:
    """In the place of shell and reports: a real core, and what was said."""

    def __init__(self) -> None:
        self.agent = Agent(AgentSettings("t", "d", BOOT))
        self.notes: list[dict[str, object]] = []
        self.reports: list[tuple[str, object]] = []

    def tell(self, given: Input) -> None:
        self.agent.handle(given)

    def note(self, kind: str, body: bytes) -> None:
        assert kind == "learning"
        self.notes.append(json.loads(body))

    def learning_started(self, wanted_s: int) -> None:
        self.reports.append(("started", wanted_s))

    def learning_done(self, wanted_s: int) -> None:
        self.reports.append(("done", wanted_s))

    def learning_stopped(self, reason: str) -> None:
        self.reports.append(("stopped", reason))

    def learning_lost(self, reason: str) -> None:
        self.reports.append(("lost", reason))


class CountedShelf(MemoryShelf):
    """Remembers what was saved, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.saves: list[str] = []

    def save(self, name: str, data: bytes) -> None:
        super().save(name, data)
        self.saves.append(name)


class Device:
    """A shelf that outlives the processes, and a clock that tests move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shelf: MemoryShelf = MemoryShelf()
        self.clock_s = 1000.0
        self.told = Told()
        monkeypatch.setattr(learning, "now", lambda: (self.clock_s, self.clock_s + 1e9))

    def begin(
        self, *, firmware: str = "os 1", device_class: str = "camera", boot: str = BOOT
    ) -> Learning:
        self.told = Told()
        made = Learning(
            cast("Shell", self.told),
            self.shelf,
            cast("OwnReports", self.told),
            device=("cam-1", device_class, firmware),
            boot=boot,
            on_started=lambda: None,
        )
        made.open()
        return made

    def see(self, program: str) -> None:
        learner = self.told.agent.profile.learner
        assert learner is not None
        learner.program(program)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    return Device(monkeypatch)


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await story()

    asyncio.run(run())


async def started(run: Learning, wanted_s: int = 3600) -> None:
    await run.start(wanted_s, is_resumed=False, is_fresh=False)


def test_a_run_lasts_its_time_of_watching_and_is_then_done(device: Device) -> None:
    async def story() -> None:
        run = device.begin()
        await started(run)
        device.see("/a")
        device.clock_s += 3000
        await run.look()
        run = device.begin(boot=NEXT_BOOT)
        device.clock_s += 100_000  # as if it had been off: nothing of it counts
        restarted = device.begin(boot=NEXT_BOOT)
        assert restarted.run is not None
        assert (restarted.run.state, restarted.run.elapsed_s) == ("learning", 3000)
        device.clock_s += 600
        await restarted.look()
        assert restarted.run is not None
        assert restarted.run.state == "done"
        assert device.told.agent.profile.learner is None
        assert device.told.reports == [("done", 3600)]
        _, draft = await restarted.write()
        profile = decode_draft(draft)
        assert profile.origin[2:4] == (3600, 1), "an hour, and one start of the device"
        assert [one.path for one in profile.learnt.programs] == ["/a"]

    play(story)


def test_starting_is_refused_where_something_would_be_lost(device: Device) -> None:
    async def story() -> None:
        run = device.begin()
        with pytest.raises(RequestError, match="no run on this firmware"):
            await run.start(60, is_resumed=True, is_fresh=False)
        await started(run)
        with pytest.raises(RequestError, match="learns already"):
            await started(run)
        device.see("/a")
        with pytest.raises(RequestError, match="has learnt for 0 of 3600 s"):
            await run.stop(is_early=False)
        assert (await run.stop(is_early=True)).state == "stopped"
        with pytest.raises(RequestError, match="does not learn"):
            await run.stop(is_early=True)
        with pytest.raises(RequestError, match="never written and would be lost"):
            await started(run)
        resumed = await run.start(60, is_resumed=True, is_fresh=False)
        assert [one.path for one in resumed.learnt.programs] == ["/a"]
        await run.stop(is_early=True)
        fresh = await run.start(60, is_resumed=False, is_fresh=True)
        assert fresh.learnt.programs == ()
        await run.stop(is_early=True)
        await run.write()
        await started(run)
        did = [note["did"] for note in device.told.notes]
        assert did == ["start", "stopped", "start", "stopped", "start", "stopped", "write", "start"]

    play(story)


def test_another_firmware_or_class_ends_a_run_and_keeps_what_it_learnt(device: Device) -> None:
    async def story() -> None:
        for change in ({"firmware": "os 2"}, {"device_class": "router"}):
            device.shelf = MemoryShelf()
            run = device.begin()
            await started(run)
            device.see("/a")
            await run.save()
            after = device.begin(**change)
            assert after.run is not None
            assert after.run.state == "stopped"
            assert device.told.reports[0][0] == "stopped"
            assert device.told.agent.profile.learner is None
            _, draft = await after.write()
            assert decode_draft(draft).firmware == "os 1"
            with pytest.raises(RequestError, match="no run on this firmware"):
                await after.start(60, is_resumed=True, is_fresh=False)

    play(story)


def test_flash_is_written_when_there_is_something_new_and_seldom_else(device: Device) -> None:
    device.shelf = CountedShelf()
    saves = device.shelf.saves

    async def story() -> None:
        run = device.begin()
        await started(run, 10 * 86_400)
        assert len(saves) == 1
        for _ in range(3):
            device.clock_s += SAVE_S / 2
            await run.look()
        assert len(saves) == 1, "nothing new"
        device.see("/a")
        await run.look()
        assert len(saves) == 2
        device.see("/b")
        await run.look()
        assert len(saves) == 2, "not so soon again"
        device.clock_s += SAVE_S
        await run.look()
        device.clock_s += IDLE_SAVE_S
        await run.look()
        assert len(saves) == 4
        kept = decode(device.shelf.files[FILE])
        assert [one.path for one in kept.learnt.programs] == ["/a", "/b"]

    play(story)


def test_a_disk_that_refuses_begins_nothing_and_is_told(device: Device) -> None:
    async def story() -> None:
        run = device.begin()
        device.shelf.is_full = True
        with pytest.raises(StoreError):
            await started(run)
        assert device.told.agent.profile.learner is None
        assert run.run is None
        device.shelf.is_full = False
        await started(run)
        device.shelf.is_full = True
        await run.save()
        assert device.told.reports[-1][0] == "lost"

    play(story)


def test_a_damaged_file_is_told_and_not_learnt_from(device: Device) -> None:
    device.shelf.files[FILE] = b'{"format":1}'
    run = device.begin()
    assert run.run is None
    assert device.told.reports[0][0] == "lost"
    with pytest.raises(RequestError, match="nothing was learnt"):
        run.draft()


def test_losses_of_the_time_are_written_into_the_profile(device: Device) -> None:
    from vedette.model.event import EventClass, EventsLost  # noqa: PLC0415

    async def story() -> None:
        run = device.begin()
        device.told.agent.ledger.lose(
            EventsLost(1.0, "audit", EventClass.PROCESS, "kernel", 5, True, "before")
        )
        await started(run)
        for _ in range(2):
            device.told.agent.ledger.lose(
                EventsLost(2.0, "audit", EventClass.PROCESS, "kernel", 5, True, "x")
            )
        _, draft = await run.write()
        assert decode_draft(draft).origin.losses == 2

    play(story)
