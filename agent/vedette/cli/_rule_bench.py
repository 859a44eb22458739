"""What each rule costs on a stream of events: asked how often, of how much, in what time.

Rule: the engine's memory of events and values is off, so that every event is new to it; a device,
which repeats itself, pays less.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vedette.cli._rerun import Event
from vedette.core.condition import Check, View
from vedette.core.engine import Engine, Stopwatch
from vedette.core.partition import Partition
from vedette.model.rule import Bundle, Rule

_CALIBRATION = 20_000
_PASSES = 3


class RuleCost(NamedTuple):
    """One rule on one stream.

    Attributes:
        asked: how often it was asked in full; the index spared it all other events.
        tried: how often its trigger itself had to be tried, for want of a text to look up.
        chars: of how many characters it was asked.
        seconds: for both, of the fastest of three passes.
        is_always: it has no trigger and is asked of every event of its category.
    """

    rule: Rule
    asked: int
    tried: int
    chars: int
    matches: int
    seconds: float
    is_always: bool


class Bench(NamedTuple):
    """A bundle on a stream.

    Attributes:
        seconds: the whole engine for all events, untimed, of the fastest of three passes.
        costs: the most expensive rule first; rules that were never asked come last.
    """

    events: int
    seconds: float
    costs: tuple[RuleCost, ...]
    refused: tuple[tuple[str, str], ...]


def bench(bundle: Bundle, events: Sequence[Event]) -> Bench:
    """Run all events through the rules and time each of them."""
    seconds = min(_pass(Engine(bundle, memo=0), events) for _ in range(_PASSES))
    runs = [_TimedEngine(bundle) for _ in range(_PASSES)]
    for run in runs:
        _pass(run, events)
    best = min(runs, key=lambda run: sum(run.seconds))
    always = frozenset(best.always)
    costs = [
        RuleCost(
            rule, best.asked[number], best.tried[number], best.chars[number],
            best.matches.get(rule.rule_id, 0), best.net_seconds(number), rule.rule_id in always,
        )
        for number, rule in enumerate(bundle.rules)
    ]  # fmt: skip
    costs.sort(key=lambda cost: (-cost.seconds, -cost.asked, cost.rule.title))
    return Bench(len(events), seconds, tuple(costs), best.refused)


def _pass(engine: Engine, events: Sequence[Event]) -> float:
    match = engine.match
    began_s = time.perf_counter()
    for category, fields in events:
        match(category, fields)
    return time.perf_counter() - began_s


class _TimedEngine(Engine):
    """Times each rule's answers."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle, memo=0)
        self.stopwatch = Stopwatch(time.perf_counter, time.thread_time)
        self.seconds = [0.0] * len(bundle.rules)
        self.tried = [0] * len(bundle.rules)
        self.matches: dict[str, int] = {}
        self.overhead_s = _overhead_s()

    def match(self, category: str, fields: Mapping[str, str]) -> tuple[Rule, ...]:
        found = super().match(category, fields)
        for rule in found:
            self.matches[rule.rule_id] = self.matches.get(rule.rule_id, 0) + 1
        return found

    def net_seconds(self, number: int) -> float:
        """The time of one rule without that of looking at the clock."""
        looks = self.asked[number] + self.tried[number]
        return max(0.0, self.seconds[number] - looks * self.overhead_s)

    def _timed_candidates(
        self, partition: Partition[Any], fields: Mapping[str, str], stopwatch: Stopwatch
    ) -> set[int]:
        for number, test in partition.tests_of(fields):
            began_s = stopwatch.quick()
            test()
            self.seconds[number] += stopwatch.quick() - began_s
            self.tried[number] += 1
        return partition.candidates(fields)

    def _timed(self, number: int, check: Check, event: View, stopwatch: Stopwatch) -> bool:
        began_s = stopwatch.quick()
        is_met = check(event)
        self.seconds[number] += stopwatch.quick() - began_s
        return is_met


def _overhead_s() -> float:
    """What reading the clock twice takes by itself."""
    quick = time.perf_counter
    spent_s = 0.0
    for _ in range(_CALIBRATION):
        began_s = quick()
        spent_s += quick() - began_s
    return spent_s / _CALIBRATION
