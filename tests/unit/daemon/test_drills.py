"""Drills as the sentinel plays them: with the real player, beside a real core."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from vedette.core.agent import Agent, AgentSettings
from vedette.core.commands import Append, Command
from vedette.core.inputs import DrillBegun, Input, Observed
from vedette.daemon import drill_player, drills
from vedette.daemon.control import Answer
from vedette.daemon.drill_answers import DrillAnswers
from vedette.daemon.drills import Drills, Sources
from vedette.daemon.shell import now
from vedette.errors import RequestError
from vedette.model.event import Event, EventClass, FileChanged, NameQueried
from vedette.model.journal import Entry
from vedette.model.response import (
    FileTarget,
    Mode,
    Order,
    Outcome,
    PeerTarget,
    ProcessTarget,
    ResponseStatus,
    Target,
    UnitTarget,
)
from vedette.model.tier import Tier, TierReport

FILES = TierReport(EventClass.FILE, Tier(EventClass.FILE, "fanotify", 1, "", (), ()), ())
SCAN = TierReport(EventClass.FILE, Tier(EventClass.FILE, "scan", 1, "", (), ()), ())
NOTHING = TierReport(EventClass.FILE, None, ())


class Shell:
    """A real core; `sees` says what the sources tell when a drill begins."""

    def __init__(self, sees: Callable[[DrillBegun], tuple[Event, ...]]) -> None:
        self.agent = Agent(AgentSettings("t", "d", "0" * 32))
        self.commands: list[Command] = []
        self.begun: list[DrillBegun] = []
        self._sees = sees

    def tell(self, given: Input) -> None:
        self.commands += self.agent.handle(given)
        if isinstance(given, DrillBegun):
            self.begun.append(given)
            events = self._sees(given)
            if events:
                self.commands += self.agent.handle(Observed(*now(), events))

    def bodies(self, kind: str) -> list[dict[str, object]]:
        drafts = [command.draft for command in self.commands if isinstance(command, Append)]
        return [json.loads(draft.body) for draft in drafts if draft.kind == kind]


class Device:
    """Drills with everything around them; `orders` were rehearsed, `checks` were asked for."""

    def __init__(
        self,
        watch: str | tuple[str, ...],
        *reports: TierReport,
        sees: Callable[[DrillBegun], tuple[Event, ...]] = lambda _: (),
        responders: Mapping[str, type[Target]] | None = None,
        unit: str = "",
    ) -> None:
        self.shell = Shell(sees)
        self.orders: list[Order] = []
        self.checks = 0
        sources = Sources(lambda: reports, self._rehearse, lambda: responders or {}, self._check)
        trees = (watch,) if isinstance(watch, str) else watch
        self.drills = Drills(self.shell, sources, watch=trees, every_s=0.0, unit=unit)  # type: ignore[arg-type]

    async def _rehearse(self, order: Order) -> Outcome:
        self.orders.append(order)
        is_there = not isinstance(order.target, PeerTarget)
        status = ResponseStatus.OBSERVED if is_there else ResponseStatus.FAILED
        return Outcome(status, "it would be done" if is_there else "no nf_tables", {})

    async def _check(self) -> None:
        self.checks += 1


def seen_by_files(begun: DrillBegun) -> tuple[FileChanged, ...]:
    path = f"/tmp/{begun.word}"
    return (
        FileChanged(now()[0], "fanotify", "created", path, "", 0, 0o600, 0, False, ""),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> str:
    made = tmp_path / "watched"
    made.mkdir()
    made.chmod(0o1777)
    return str(made)


def test_what_a_source_tells_in_time_is_seen_and_nothing_is_left(folder: str) -> None:
    device = Device(folder, FILES, sees=seen_by_files)
    report = asyncio.run(device.drills.drill("control"))
    assert report.missing == ()
    assert report.drill.seen["file_event"].tier == "fanotify"
    assert device.shell.begun[0].expected == {"file_event": "fanotify"}
    assert device.shell.begun[0].address.startswith("127.")
    assert device.checks == 0
    assert list(Path(folder).iterdir()) == []
    assert len(device.shell.bodies("drill")) == 1


def test_what_is_missed_is_played_again_and_then_all_sources_must_prove_themselves(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drills, "WAIT_S", 0.05)
    device = Device(folder, FILES)
    report = asyncio.run(device.drills.drill("timer"))
    assert report.missing == ("file_event",)
    first, second = device.shell.begun
    assert first.word != second.word
    assert device.checks == 1
    (incident,) = device.shell.bodies("incident")
    assert "blind source" in str(incident["finding_info"])


def test_a_source_that_missed_one_event_in_a_storm_is_not_blind(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drills, "WAIT_S", 0.05)
    rounds: list[DrillBegun] = []

    def sees(begun: DrillBegun) -> tuple[FileChanged, ...]:
        rounds.append(begun)
        return seen_by_files(begun) if len(rounds) > 1 else ()

    device = Device(folder, FILES, sees=sees)
    assert asyncio.run(device.drills.drill("timer")).missing == ()
    assert device.shell.bodies("incident") == []
    assert device.checks == 0


@pytest.mark.parametrize("report", [SCAN, NOTHING], ids=["looks once a day", "is not there"])
def test_a_source_that_cannot_tell_in_time_is_not_expected_to(
    report: TierReport, folder: str
) -> None:
    device = Device(folder, report)
    asyncio.run(device.drills.drill("timer"))
    assert device.shell.begun[0].expected == {}


def test_without_a_folder_for_everybody_no_file_is_made(tmp_path: Path) -> None:
    device = Device(str(tmp_path), FILES)
    report = asyncio.run(device.drills.drill("timer"))
    assert device.shell.begun[0].expected == {}
    assert "no watched folder" in report.not_played["file_event"]
    assert list(tmp_path.iterdir()) == []


def test_of_two_such_folders_that_in_memory_is_taken(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    memory.chmod(0o1777)
    monkeypatch.setattr(drills, "is_in_memory", lambda path: path == memory)
    responders = {"quarantine": FileTarget}
    device = Device((folder, str(memory)), FILES, sees=seen_by_files, responders=responders)
    asyncio.run(device.drills.drill("timer"))
    assert [Path(order.target.path).parent for order in device.orders] == [memory]  # type: ignore[union-attr]


def test_a_link_to_such_a_folder_is_none(tmp_path: Path, folder: str) -> None:
    (tmp_path / "link").symlink_to(folder)
    device = Device(str(tmp_path / "link"), FILES)
    asyncio.run(device.drills.drill("timer"))
    assert list(Path(folder).iterdir()) == []


def test_a_player_that_cannot_be_started_blames_no_source(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drills, "_PLAYER", "vedette.no_such_module")
    device = Device(folder, FILES)
    report = asyncio.run(device.drills.drill("timer"))
    assert report.missing == ()
    assert report.not_played == {"file_event": "the player failed: it ended before it had played"}
    assert device.shell.bodies("incident") == []


def test_responses_are_planned_against_what_the_drill_made(folder: str) -> None:
    kinds: dict[str, type[Target]] = {
        "kill": ProcessTarget, "quarantine": FileTarget, "block_peer": PeerTarget,
        "stop_unit": UnitTarget,  # against none: no unit is declared essential
    }  # fmt: skip
    device = Device(folder, responders=kinds)
    report = asyncio.run(device.drills.drill("timer"))
    assert all(order.mode is Mode.OBSERVE for order in device.orders)
    by_name = {order.responder: order.target for order in device.orders}
    assert set(by_name) == {"kill", "quarantine", "block_peer"}
    killed, moved = by_name["kill"], by_name["quarantine"]
    assert isinstance(killed, ProcessTarget)
    assert killed.key.pid not in {0, os.getpid()}
    assert killed.key.start_ticks > 0
    assert isinstance(moved, FileTarget)
    assert moved.path == f"{folder}/{device.shell.begun[0].word}"
    ready = {one.responder: one.is_ready for one in report.responses}
    assert ready == {"kill": True, "quarantine": True, "block_peer": False}


def test_responses_against_units_are_planned_against_an_essential_one(folder: str) -> None:
    device = Device(folder, responders={"stop_unit": UnitTarget}, unit="stream.service")
    asyncio.run(device.drills.drill("timer"))
    assert [order.target for order in device.orders] == [UnitTarget("stream.service")]


def test_a_name_is_expected_once_one_was_seen_until_its_absence_was_told(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drills, "WAIT_S", 0.05)
    is_watched = True

    def sees(begun: DrillBegun) -> tuple[Event, ...]:
        name = NameQueried(now()[0], "uplink", f"{begun.word}.invalid", 1)
        return (name,) if is_watched else ()

    device = Device(folder, sees=sees)

    def drill() -> tuple[str, ...]:
        return asyncio.run(device.drills.drill("timer")).missing

    assert (drill(), drill()) == ((), ())
    assert [begun.expected for begun in device.shell.begun] == [{}, {"dns_query": "uplink"}]
    is_watched = False
    assert drill() == ("dns_query",)
    (incident,) = device.shell.bodies("incident")
    assert "dns_query" in str(incident["evidences"])
    assert drill() == ()
    assert len(device.shell.bodies("incident")) == 1


def test_two_drills_at_a_time_are_one_too_many(folder: str) -> None:
    async def play() -> None:
        device = Device(folder)
        async with asyncio.TaskGroup() as group:
            group.create_task(device.drills.drill("control"))
            await asyncio.sleep(0)
            with pytest.raises(RequestError, match="running already"):
                await device.drills.drill("control")

    asyncio.run(play())


def test_they_are_played_at_each_period(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drills, "FIRST_S", 0.0)
    third = asyncio.Event()

    def sees(_: DrillBegun) -> tuple[FileChanged, ...]:
        if len(device.shell.begun) == 3:
            third.set()
        return ()

    device = Device(folder, sees=sees)
    device.drills._every_s = 0.01

    async def play() -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            running = group.create_task(device.drills.run())
            await third.wait()
            running.cancel()

    asyncio.run(play())
    assert {one.reason for one in device.shell.begun} == {"timer"}


def test_a_period_of_none_plays_none(folder: str) -> None:
    device = Device(folder)
    asyncio.run(device.drills.run())
    assert device.shell.begun == []


def test_the_answer_says_what_became_of_each_step(folder: str) -> None:
    device = Device(folder, FILES, sees=seen_by_files, responders={"kill": ProcessTarget})

    async def entries(kind: str, limit: int) -> list[Entry]:
        assert (kind, limit) == ("drill", 24)
        found = [command for command in device.shell.commands if isinstance(command, Append)]
        return [
            Entry(command.draft, 0, number, 0, "0" * 32)
            for number, command in enumerate(found)
            if command.draft.kind == kind
        ]

    async def ask(request: str) -> Answer:
        return await DrillAnswers(device.drills, entries, 60).handlers()[request]({})

    answer = asyncio.run(ask("drill.run"))
    steps = answer["steps"]
    assert isinstance(steps, list)
    states = {str(row["step"]): row["state"] for row in steps if isinstance(row, dict)}
    assert states["file_event"] == "seen"
    assert states["dns_query"] == "optional"
    assert answer["responses"] == [
        {"responder": "kill", "ready": True, "detail": "it would be done"}
    ]
    shown = asyncio.run(ask("drill.show"))["drills"]
    assert isinstance(shown, list)
    assert isinstance(shown[0], dict)
    assert shown[0]["reason"] == "control"


def test_the_player_leaves_nothing_when_it_is_ended_early(tmp_path: Path) -> None:
    player = drill_player.Player("vedette-drill-x", "127.99.98.97", str(tmp_path))
    player.play()
    assert (tmp_path / "vedette-drill-x").read_bytes() == b""
    player.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_already_is_not_touched(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "vedette-drill-x"
    there.write_text("mine")
    player = drill_player.Player("vedette-drill-x", "127.99.98.96", str(tmp_path))
    player.play()
    player.close()
    assert there.read_text() == "mine"
    assert "file_event\tFile exists" in capfd.readouterr().out
