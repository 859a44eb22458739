"""Whether rules find what their own samples say, on this device's engine.

Rule: samples run through the engine and the correlator that the device runs. Rules are asked
without the exclusions of device classes, as their authors asked them (`vedette rules test`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from vedette.core.correlation import Correlator
from vedette.core.engine import Engine, Slow, Stopwatch
from vedette.model.rule import Bundle, Correlation
from vedette.model.sample import RuleSample, SampleEvent, SampleSet

_TIER = "sample"


class Failure(NamedTuple):
    """A sample that did not go as it should, and what was expected of it."""

    place: str
    reason: str


class SelfTest:
    """A bundle, built once, and its samples.

    Args:
        bundle: as codec.bundle gave it.
        stopwatch: times the rules; None does not.
    """

    def __init__(self, bundle: Bundle, stopwatch: Stopwatch | None = None) -> None:
        self._bundle = bundle
        self._engine = Engine(replace(bundle, exclusions=()), memo=0)
        self._engine.stopwatch = stopwatch
        self._correlations = {one.rule_id: one for one in bundle.correlations}
        self._categories: dict[str, list[str]] = {}
        for rule in bundle.rules:
            self._categories.setdefault(rule.rule_id, []).append(rule.category)

    def run(self, samples: SampleSet) -> Iterator[Failure]:
        """Try all samples; gives those that did not go as they should."""
        if samples.bundle != self._bundle.digest:
            yield Failure(
                "", f"expected the samples of {self._bundle.digest}, got {samples.bundle}"
            )
            return
        for sample in samples.samples:
            reason = self._failed(sample)
            if reason:
                yield Failure(sample.place, reason)

    def slow(self) -> list[Slow]:
        """Rules that took too long for one event, where a stopwatch was given."""
        return self._engine.take_slow()

    def _failed(self, sample: RuleSample) -> str:
        unknown = [one for one in sample.rules if one not in self._known()]
        if unknown:
            return f"expected a rule of the bundle, got {unknown[0]!a}"
        correlations = [
            self._correlations[one] for one in sample.rules if one in self._correlations
        ]
        met = self._met_in_sequence(sample, correlations) if correlations else self._met(sample)
        if met == sample.is_wanted:
            return ""
        names = ", ".join(sample.rules)
        return f"expected {names} {'to match' if sample.is_wanted else 'not to match'}"

    def _known(self) -> frozenset[str]:
        return frozenset((*self._categories, *self._correlations))

    def _met(self, sample: RuleSample) -> bool:
        return any(
            rule_id in sample.rules
            for event in sample.events
            for rule_id in self._matches(event, sample.rules)
        )

    def _met_in_sequence(self, sample: RuleSample, correlations: Iterable[Correlation]) -> bool:
        wanted = {one.rule_id for one in correlations}
        correlator = Correlator(self._bundle.correlations)
        asked = self._needed(wanted)
        is_met = False
        for event in sample.events:
            for rule_id in self._matches(event, asked):
                for found in correlator.observe(rule_id, event.at_s, _TIER, event.fields):
                    is_met = is_met or found.correlation.rule_id in wanted
        return is_met

    def _needed(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Ids of the rules below correlations."""
        found: dict[str, None] = {}
        waiting = list(wanted)
        while waiting:
            rule_id = waiting.pop()
            if rule_id in self._correlations:
                waiting += self._correlations[rule_id].rules
            else:
                found[rule_id] = None
        return tuple(found)

    def _matches(self, event: SampleEvent, rules: Iterable[str]) -> Iterator[str]:
        """Ids of the rules that an event meets, in its category or in those of these rules."""
        categories = [event.category] if event.category else self._categories_of(rules)
        for category in categories:
            for rule in self._engine.match(category, event.fields):
                yield rule.rule_id

    def _categories_of(self, rules: Iterable[str]) -> list[str]:
        found = (category for one in rules for category in self._categories.get(one, ()))
        return list(dict.fromkeys(found))
