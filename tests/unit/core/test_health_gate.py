"""The health gate: who may stay, who goes back, and when that is known."""

from __future__ import annotations

from vedette.core.health_gate import AgentHealth, GateAnswer, GateLimits, HealthGate
from vedette.model.essential import Probed

LIMITS = GateLimits(settle_s=60, trial_s=600, late_s=300)
WELL = AgentHealth()
BLIND = AgentHealth(reasons=("nothing watches file events",))
ATTACKED = AgentHealth(critical_incidents=1)
UP = [Probed("stream", True, "answers", ())]
DOWN = [Probed("stream", False, "port 554 refused", ())]


def gate(*, is_committed: bool = False) -> HealthGate:
    return HealthGate(LIMITS, 0.0, is_committed=is_committed)


def test_it_stays_once_all_held_for_a_while() -> None:
    watch = gate()
    assert [watch.look(at_s, WELL, UP).answer for at_s in (10, 40, 69, 70)] == [
        GateAnswer.WAIT, GateAnswer.WAIT, GateAnswer.WAIT, GateAnswer.PASS,
    ]  # fmt: skip


def test_a_break_begins_the_while_anew() -> None:
    watch = gate()
    watch.look(10, WELL, UP)
    verdict = watch.look(50, WELL, DOWN)
    assert verdict == (GateAnswer.WAIT, "stream: port 554 refused")
    assert watch.look(60, WELL, UP).answer is GateAnswer.WAIT
    assert watch.look(119, WELL, UP).answer is GateAnswer.WAIT
    assert watch.look(120, WELL, UP).answer is GateAnswer.PASS


def test_what_never_comes_up_goes_back_in_time() -> None:
    watch = gate()
    assert watch.look(599, WELL, DOWN).answer is GateAnswer.WAIT
    verdict = watch.look(600, BLIND, DOWN)
    assert verdict.answer is GateAnswer.REJECT
    assert verdict.reason == ("after 600 s: stream: port 554 refused; nothing watches file events")


def test_what_flaps_goes_back_in_time_too() -> None:
    watch = gate()
    for at_s in range(0, 600, 50):
        watch.look(at_s, WELL, UP if at_s % 100 else DOWN)
    assert watch.look(600, WELL, DOWN).answer is GateAnswer.REJECT


def test_a_critical_incident_sends_it_back_at_once() -> None:
    assert gate().look(1, ATTACKED, UP) == (GateAnswer.REJECT, "1 new critical incident(s)")


def test_an_attack_on_a_committed_one_does_not_choose_the_older() -> None:
    watch = gate(is_committed=True)
    assert watch.look(1, ATTACKED, UP).answer is GateAnswer.WAIT
    assert watch.look(5000, ATTACKED, UP).answer is GateAnswer.WAIT


def test_a_committed_one_goes_back_when_it_is_unwell_for_long() -> None:
    watch = gate(is_committed=True)
    assert watch.look(5000, WELL, UP).answer is GateAnswer.WAIT
    assert watch.look(5100, BLIND, UP).answer is GateAnswer.WAIT
    assert watch.look(5300, WELL, UP).answer is GateAnswer.WAIT
    assert watch.look(5400, BLIND, UP).answer is GateAnswer.WAIT
    assert watch.look(5699, BLIND, UP).answer is GateAnswer.WAIT
    assert watch.look(5700, BLIND, UP).answer is GateAnswer.REJECT


def test_a_first_look_at_time_zero_counts() -> None:
    watch = HealthGate(LIMITS, 0.0, is_committed=True)
    watch.look(0.0, BLIND, UP)
    assert watch.look(300, BLIND, UP).answer is GateAnswer.REJECT
