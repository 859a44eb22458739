"""A new bundle proves itself, or is given back for what it brought and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.playbook.test_detection import Device as Detecting
from tests.playbook.test_detection import bundle, correlation, make_noise, rule, started

from vedette.core import rules_trial
from vedette.core.commands import SettleRules
from vedette.core.inputs import Input, RulesLoaded, RuleSlow
from vedette.core.rules_trial import TRIAL_S
from vedette.model.rule import Bundle

WALL = 1_795_000_000.0
BEFORE = bundle(rule("old", "old"), rule("noisy", "noise"), counter=1)
NEWER = replace(
    BEFORE, rules=(*BEFORE.rules, rule("new", "brought")), counter=2, digest=f"{2:064x}"
)


class Device(Detecting):
    """Remembers how trials ended."""

    def __init__(self, first: Bundle) -> None:
        self.settled: list[SettleRules] = []
        super().__init__(first)

    def tell(self, given: Input) -> None:
        before = self.agent.handle

        def handle(given: Input) -> list[object]:
            commands = before(given)
            self.settled += [one for one in commands if isinstance(one, SettleRules)]
            return list(commands)

        self.agent.handle = handle  # type: ignore[method-assign,assignment]
        try:
            super().tell(given)
        finally:
            self.agent.handle = before  # type: ignore[method-assign]

    def load(self, new: Bundle, at_s: float = 1.0, *, is_trial: bool = True) -> None:
        self.tell(RulesLoaded(at_s, WALL, new, is_trial))
        while self.turn(at_s):
            pass


@pytest.fixture
def device() -> Device:
    found = Device(BEFORE)
    found.load(NEWER)
    return found


def test_a_bundle_that_keeps_quiet_has_proved_itself_at_its_time(device: Device) -> None:
    device.tick(TRIAL_S)
    assert device.settled == []
    device.tick(TRIAL_S + 1.0)
    assert device.settled == [SettleRules(NEWER.digest, "")]
    device.tick(3 * TRIAL_S)
    assert len(device.settled) == 1


def test_a_new_rule_that_takes_too_long_gives_the_bundle_back(device: Device) -> None:
    device.tell(RuleSlow(2.0, WALL, "new", 0.25))
    ((digest, reason),) = device.settled
    assert digest == NEWER.digest
    assert "'Rule new', which it brought" in reason
    assert "250 ms" in reason
    device.tick(2 * TRIAL_S)
    assert len(device.settled) == 1
    assert device.replayed() == device.bodies


def test_what_the_rules_before_did_as_well_is_not_held_against_it(device: Device) -> None:
    device.tell(RuleSlow(2.0, WALL, "old", 0.25))
    make_noise(device, 2.0)
    assert device.settled == []


def test_a_rule_that_was_changed_is_its_own() -> None:
    device = Device(BEFORE)
    device.load(bundle(rule("old", "older"), rule("noisy", "noise"), counter=2))
    device.tell(RuleSlow(2.0, WALL, "old", 0.25))
    assert [bool(one.reason) for one in device.settled] == [True]


def test_new_rules_that_tell_too_much_together_give_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules_trial, "MAX_ALERTS", 5)
    device = Device(BEFORE)
    many = tuple(rule(f"new{n}", "brought") for n in range(3))
    device.load(replace(NEWER, rules=(*BEFORE.rules, *many)))
    device.see(started(3.0, 50, "brought 1"))
    assert device.settled == []
    device.see(started(4.0, 51, "brought 2"))
    assert [one.reason for one in device.settled] == [
        "the rules that it brought told more than 5 reports within 600 s"
    ]


def test_a_new_correlation_counts_as_brought() -> None:
    device = Device(BEFORE)
    chain = correlation("event_count", ("old",), 3, ())
    device.load(replace(NEWER, rules=BEFORE.rules, correlations=(chain,)))
    trial = device.agent.detection.trial
    assert trial is not None
    assert trial.muted("chain", "A chain", "it told more")
    assert not trial.muted("old", "Rule old", "it told more")


def test_after_a_start_nothing_can_be_held_against_it_and_its_time_goes_on() -> None:
    device = Device(bundle(rule("drill", "drill")))
    device.agent.detection.engine = None
    device.load(NEWER)
    device.tell(RuleSlow(2.0, WALL, "new", 0.25))
    assert device.settled == []
    device.tick(TRIAL_S + 1.0)
    assert device.settled == [SettleRules(NEWER.digest, "")]


def test_what_is_not_tried_is_never_settled() -> None:
    device = Device(BEFORE)
    device.load(NEWER, is_trial=False)
    device.tell(RuleSlow(2.0, WALL, "new", 0.25))
    device.tick(2 * TRIAL_S)
    assert device.settled == []


def test_reading_the_same_rules_again_does_not_begin_its_trial_anew(device: Device) -> None:
    device.load(NEWER, TRIAL_S - 1.0)
    device.tick(TRIAL_S + 1.0)
    assert device.settled == [SettleRules(NEWER.digest, "")]


def test_a_bundle_that_comes_meanwhile_begins_a_trial_of_its_own(device: Device) -> None:
    newest = replace(NEWER, counter=3, digest=f"{3:064x}", rules=(*NEWER.rules, rule("x", "xx")))
    device.load(newest, 100.0)
    device.tick(TRIAL_S + 50.0)
    assert device.settled == []
    device.tick(TRIAL_S + 100.0)
    assert device.settled == [SettleRules(newest.digest, "")]
