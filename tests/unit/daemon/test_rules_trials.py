"""How a trial ended is on the disk before rules change, and told after."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vedette.core.commands import SettleRules
from vedette.daemon.content_source import Chosen
from vedette.daemon.rules_trials import RulesTrials, TrialStep
from vedette.errors import StoreError, TrustError
from vedette.model.rule import Bundle

BUNDLE = Bundle("fleet", 7, 0, 2**40, (), (), "ab" * 32)
CHOSEN = Chosen(BUNDLE, is_new=True, is_stale=False, refused="", problems=())


class Gate:
    """The gate's promises about a trial, as a log."""

    def __init__(self, log: list[str]) -> None:
        self.log, self.trial = log, BUNDLE.digest
        self.why_not: Exception | None = None
        self.overdue = ""

    def start(self) -> str:
        return self.overdue

    def settle(self, digest: str) -> None:
        assert digest == BUNDLE.digest
        self.log.append("settled")
        self.trial = ""

    def withdraw(self, digest: str) -> None:
        assert digest == BUNDLE.digest
        if self.why_not is not None:
            raise self.why_not
        self.log.append("withdrawn")
        self.trial = ""


class Stage:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.steps: list[TrialStep] = []
        self.gate = Gate(self.log)
        source: Any = type("Source", (), {"gate": self.gate})
        self.trials = RulesTrials(lambda: source, self.reload, self.tell)

    async def reload(self) -> None:
        self.log.append("reloaded")

    async def tell(self, step: TrialStep) -> None:
        self.log.append(step.step)
        self.steps.append(step)

    def settle(self, reason: str, digest: str = BUNDLE.digest) -> None:
        async def play() -> None:
            self.trials.is_tried(CHOSEN)
            self.trials.settled(SettleRules(digest, reason))
            await self.trials._settle(self.trials._waiting.popleft())

        asyncio.run(play())


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_what_proved_itself_is_settled_and_told(stage: Stage) -> None:
    stage.settle("")
    assert stage.log == ["settled", "committed"]


def test_what_tripped_is_withdrawn_on_the_disk_then_replaced_then_told(stage: Stage) -> None:
    stage.settle("the rule 'x' exceeded its budget")
    assert stage.log == ["withdrawn", "reloaded", "rolled-back"]
    assert (stage.steps[0].cause, stage.steps[0].counter) == ("budget", 7)


@pytest.mark.parametrize("why", [TrustError("nothing is kept"), StoreError("disk full")])
def test_what_cannot_be_given_back_stays_and_that_is_told(stage: Stage, why: Exception) -> None:
    stage.gate.why_not = why
    stage.settle("too loud")
    assert stage.log == ["trial"]
    assert f"too loud; it stays in use: {why}" in stage.steps[0].reason


def test_a_verdict_on_what_is_no_longer_in_use_changes_nothing(stage: Stage) -> None:
    stage.settle("too loud", digest="cd" * 32)
    assert stage.log == []


def test_a_trial_is_told_once_when_it_begins(stage: Stage) -> None:
    asyncio.run(stage.trials.begun(CHOSEN))
    asyncio.run(stage.trials.begun(CHOSEN._replace(is_new=False)))
    stage.gate.trial = ""
    asyncio.run(stage.trials.begun(CHOSEN))
    assert stage.log == ["trial"]


def test_a_bundle_that_ends_the_agent_is_given_back_at_the_start(stage: Stage) -> None:
    stage.gate.overdue = "the agent was started 4 times before it had proved itself"
    asyncio.run(stage.trials.start())
    assert stage.log == ["withdrawn", "rolled-back"]
    assert (stage.steps[0].cause, stage.steps[0].digest) == ("health", BUNDLE.digest)


def test_an_ordinary_start_changes_nothing(stage: Stage) -> None:
    asyncio.run(stage.trials.start())
    assert stage.log == []


def test_a_person_may_have_the_rules_before_back(stage: Stage) -> None:
    stage.trials.is_tried(CHOSEN)
    asyncio.run(stage.trials.give_back("control", "they miss what we need"))
    assert stage.log == ["withdrawn", "reloaded", "rolled-back"]
    assert (stage.steps[0].cause, stage.steps[0].by) == ("operator", "control")


def test_a_person_is_told_where_there_is_nothing_to_go_back_to(stage: Stage) -> None:
    with pytest.raises(TrustError, match="no rules are in use"):
        asyncio.run(stage.trials.give_back("control", ""))
