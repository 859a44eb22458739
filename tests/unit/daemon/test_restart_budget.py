"""The restart budget: five failures a minute are forgiven, then the pause doubles."""

from __future__ import annotations

from vedette.daemon.restart_budget import LONGEST_PAUSE_S, RestartBudget


def test_five_failures_within_a_minute_are_forgiven_at_once() -> None:
    budget = RestartBudget()
    assert [budget.failed(at, at + 1) for at in range(5)] == [0.0] * 5


def test_from_the_sixth_on_the_pause_doubles_up_to_its_bound() -> None:
    budget = RestartBudget()
    pauses = []
    now_s = 0.0
    for _ in range(16):
        now_s += 1
        pauses.append(budget.failed(now_s - 1, now_s))
        now_s += pauses[-1]
    assert pauses[5:9] == [2.0, 4.0, 8.0, 16.0]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_failures_that_are_far_apart_never_use_the_budget_up() -> None:
    budget = RestartBudget()
    assert {budget.failed(at - 50, at) for at in range(50, 5000, 50)} == {0.0}


def test_a_calm_minute_gives_a_fresh_budget() -> None:
    budget = RestartBudget()
    for at in range(8):
        budget.failed(at, at + 1)
    assert budget.failed(10, 71) == 0.0
    assert budget.restarts == 9
