"""Steps are recorded before they are answered; health says why a trial may not be committed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.simulators.memory_journal import MemoryJournal

from vedette.codec import ocsf, update_report
from vedette.codec.strict_json import Json
from vedette.core.inputs import Input, UpdateAnnounced
from vedette.daemon.update_answers import Device, UpdateAnswers, Way
from vedette.errors import RequestError, StoreError, TrustError
from vedette.model.event import EventClass
from vedette.model.finding import Severity
from vedette.model.journal import Entry, EntryDraft
from vedette.model.message import Identity
from vedette.model.release import ReleaseKind
from vedette.model.tier import Tier, TierReport
from vedette.model.update import Cause, Step, UpdateReport

NOW, BEFORE = "1" * 32, "0" * 32
STEP = UpdateReport(
    "0123456789abcdef", Step.VERIFIED, ReleaseKind.RULES, "fleet", "1.2", 7, "ab" * 32
)
WATCHED = TierReport(EventClass.PROCESS, Tier(EventClass.PROCESS, "ebpf", 1, "all", (), ()), ())
REACHED = Way(is_wanted=True, is_up=True, reason="")
BLIND = TierReport(EventClass.PROCESS, None, ())


@dataclass
class Stage:
    """A sentinel as the answers see it."""

    journal: MemoryJournal = field(default_factory=lambda: MemoryJournal(boot=NOW))
    findings: list[tuple[str, Severity, tuple[str, ...]]] = field(default_factory=list)
    core: list[Input] = field(default_factory=list)
    tiers: Sequence[TierReport] = (WATCHED,)
    rules: tuple[str, int] = ("cd" * 32, 7)
    way: Way = REACHED

    def __post_init__(self) -> None:
        asyncio.run(self.journal.open())

    async def record(self, draft: EntryDraft) -> Entry:
        if self.journal.is_degraded:
            raise StoreError("the journal is kept in memory only: disk full")
        (entry,) = await self.journal.append([draft])
        return entry

    def report(
        self, condition: str, title: str, severity: Severity, fields: Any, *, tags: tuple[str, ...]
    ) -> None:
        assert title
        assert fields
        self.findings.append((condition, severity, tags))

    async def give_back(self, by: str, reason: str) -> None:
        if self.rules[1] == 1:
            raise TrustError("no rules bundle is kept from before the one in use")
        assert (by, reason) == ("control", "too loud")
        self.rules = ("ef" * 32, self.rules[1] - 1)

    def ask(self, name: str, **params: Json) -> dict[str, Any]:
        identity = Identity("acme", "cam-7", NOW)
        device = Device(
            identity, self.journal, self.record, self.report, self.core.append,
            lambda: self.tiers, lambda: self.rules, lambda: self.way, self.give_back,
        )  # fmt: skip
        return dict(asyncio.run(UpdateAnswers(device).answer(name, params)))

    def tell(self, report: UpdateReport) -> dict[str, Any]:
        return self.ask("tell", step=update_report.plain(report))

    def note(self, kind: str, body: dict[str, Json], boot: str, severity: int = 1) -> None:
        draft = EntryDraft(
            kind, Severity(severity), 1.0, ocsf.canonical(body), "", "feed", is_routine=True
        )
        self.journal._boot = boot
        asyncio.run(self.journal.append([draft]))


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_who_updates_is_on_record_before_the_core_believes_it(stage: Stage) -> None:
    stage.ask("begin", by="schedule", pids=[77, 1, 0, True])
    assert [entry.draft.kind for entry in stage.journal.recorded] == ["update-begun"]
    (told,) = stage.core
    assert isinstance(told, UpdateAnnounced)
    assert told.pids == (77,)


def test_nobody_is_an_update_where_the_disk_does_not_take_it(stage: Stage) -> None:
    stage.journal.is_degraded = True
    with pytest.raises(StoreError):
        stage.ask("begin", by="schedule", pids=[77])
    assert not stage.core


def test_a_step_is_in_the_journal_when_it_is_answered(stage: Stage) -> None:
    assert stage.tell(STEP) == {"epoch": 1, "index": 0, "is_new": True}
    assert [entry.draft.topic for entry in stage.journal.recorded] == ["up/update"]
    assert not stage.findings


def test_a_step_that_is_told_again_is_recorded_once(stage: Stage) -> None:
    stage.tell(STEP)
    assert stage.tell(STEP) == {"epoch": 1, "index": 0, "is_new": False}
    assert len(stage.journal.recorded) == 1


def test_a_step_that_the_disk_does_not_take_is_refused(stage: Stage) -> None:
    stage.journal.is_degraded = True
    with pytest.raises(RequestError, match=r"verified of rules fleet 1\.2 .* not recorded"):
        stage.tell(STEP)


def test_a_refused_signature_is_an_incident_with_its_technique(stage: Stage) -> None:
    stage.tell(replace(STEP, step=Step.REFUSED, cause=Cause.SIGNATURE))
    ((condition, severity, tags),) = stage.findings
    assert (condition, severity) == ("update-signature", Severity.HIGH)
    assert "attack.t1195.002" in tags


@pytest.mark.parametrize("step", [None, {}, [], "verified", {"step": "verified"}])
def test_what_is_no_step_is_refused(stage: Stage, step: Json) -> None:
    with pytest.raises(RequestError, match="step: expected a step"):
        stage.ask("tell", step=step)
    assert not stage.journal.recorded


def test_history_is_newest_first_and_bounded(stage: Stage) -> None:
    for number in range(3):
        stage.tell(replace(STEP, step_id=f"{number:016x}", counter=number))
    counters = [
        one["unmapped"]["update"]["counter"] for one in stage.ask("history", limit=2)["steps"]
    ]
    assert counters == [2, 1]


def test_a_device_that_watches_and_reports_is_well(stage: Stage) -> None:
    found = stage.ask("health")
    assert (found["well"], found["reasons"], found["uplink"]["state"]) == (True, [], "up")
    assert found["mark"] == {"epoch": 1, "index": 0}


def test_a_class_that_nothing_watches_any_more_is_not_well(stage: Stage) -> None:
    stage.note("tier", {"class": "process", "tier": "ebpf"}, BEFORE)
    stage.note("tier", {"class": "process", "tier": ""}, NOW)
    stage.tiers = (BLIND,)
    assert stage.ask("health")["reasons"] == ["nothing watches process events, ebpf did before"]


def test_a_class_that_nothing_watched_before_either_is_no_news(stage: Stage) -> None:
    stage.note("tier", {"class": "process", "tier": ""}, BEFORE)
    stage.tiers = (BLIND,)
    assert stage.ask("health")["well"]


def test_without_rules_it_is_not_well(stage: Stage) -> None:
    stage.rules = ("", 0)
    assert stage.ask("health")["reasons"] == ["no rules are loaded"]


def test_a_broker_out_of_reach_is_not_well(stage: Stage) -> None:
    stage.way = Way(is_wanted=True, is_up=False, reason="no route to host")
    assert stage.ask("health")["reasons"] == ["the broker is not reached: no route to host"]


def test_a_broker_that_was_out_of_reach_before_the_reboot_is_explained(stage: Stage) -> None:
    stage.note("uplink", {"condition": "uplink-down", "detail": "no route"}, BEFORE)
    stage.note("uplink", {"condition": "uplink-down", "detail": "no route"}, NOW)
    stage.way = Way(is_wanted=True, is_up=False, reason="no route to host")
    found = stage.ask("health")
    assert (found["well"], found["uplink"]["state"]) == (True, "explained")


def test_an_outage_that_had_ended_before_the_reboot_explains_nothing(stage: Stage) -> None:
    stage.note("uplink", {"condition": "uplink-down", "detail": "no route"}, BEFORE)
    stage.note("uplink", {"condition": "uplink-down", "detail": ""}, BEFORE)
    stage.way = Way(is_wanted=True, is_up=False, reason="no route to host")
    assert not stage.ask("health")["well"]


def test_no_uplink_is_well_where_none_is_wanted(stage: Stage) -> None:
    stage.way = Way(is_wanted=False, is_up=False, reason="")
    assert stage.ask("health")["uplink"]["state"] == "off"


def test_a_critical_incident_since_the_mark_is_not_well(stage: Stage) -> None:
    stage.note("incident", {"message": "an old one"}, NOW, severity=5)
    mark = stage.ask("health")["mark"]
    assert stage.ask("health", since=mark)["well"]
    stage.note("incident", {"message": "a high one"}, NOW, severity=4)
    assert stage.ask("health", since=mark)["well"]
    stage.note("incident", {"message": "the agent was killed"}, NOW, severity=5)
    found = stage.ask("health", since=mark)
    assert found["reasons"] == ["critical incident feed: the agent was killed"]


def test_without_a_mark_what_began_before_this_boot_is_not_held_against_it(stage: Stage) -> None:
    stage.note("incident", {"message": "of the firmware before"}, BEFORE, severity=5)
    assert stage.ask("health")["well"]
    stage.note("incident", {"message": "of this one"}, NOW, severity=5)
    assert stage.ask("health")["critical"] == [{"id": "feed", "title": "of this one"}]


@pytest.mark.parametrize(
    "since", [1, [], {"epoch": 1}, {"epoch": 1, "index": "2"}, {"epoch": True, "index": 2}]
)
def test_a_mark_that_is_none_is_refused(stage: Stage, since: Json) -> None:
    with pytest.raises(RequestError, match="since: expected"):
        stage.ask("health", since=since)


def test_the_rules_before_are_given_back_when_a_person_asks(stage: Stage) -> None:
    assert stage.ask("rollback", by="control", reason="too loud") == {
        "digest": "ef" * 32, "counter": 6,
    }  # fmt: skip
    stage.rules = ("ab" * 32, 1)
    with pytest.raises(RequestError, match="no rules bundle is kept"):
        stage.ask("rollback", by="control", reason="too loud")
