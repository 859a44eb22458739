"""Correlations: from matches of rules to matches of rules about them (Sigma Correlation Rules 2.1).

Rule 1: time is that of the events; a correlation is met at the event that completes it, and again
at each further one while its thresholds hold: incidents join what follows, and a later step of a
chain finds its window fresh.
Rule 2: an event that lacks a field of the group, or whose field is empty, belongs to no group.
Rule 3: memory is bounded in bytes over all correlations; one that an attacker floods with groups
sheds its own first. What is shed is counted.
Rule 4: a correlation may speak of correlations that stand before it; such a match has the newest
event's fields and those of its group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vedette.core.groups import Groups
from vedette.core.windows import KINDS, MAX_TEXT, Hit, State, short
from vedette.errors import RuleError
from vedette.model.rule import Correlation

MAX_BYTES = 4 << 20
"""Ours: a tenth of the agent's memory, enough for some 12,000 groups."""

GENERATION_SHARE = 4
"""One generation of one correlation takes at most this part of the memory, and so a correlation
half of it: a flood of groups in one leaves the others theirs."""

MAX_TIERS = 64
"""There are some fifteen; tiers beyond this count as one."""


class Correlated(NamedTuple):
    """A correlation was met: at the newest event of a group, with what is to be shown of it."""

    correlation: Correlation
    group: str
    fields: Mapping[str, str]


class _Watch:
    """One correlation, its fields by rule, and its groups."""

    def __init__(self, correlation: Correlation) -> None:
        self.correlation = correlation
        self.window = KINDS[correlation.kind](correlation)
        self.groups = Groups(self.window, correlation.timespan_s)
        self.steps = {rule_id: step for step, rule_id in enumerate(correlation.rules)}
        self.group_fields = _by_rule(correlation, correlation.group_by)
        self.value_fields = _by_rule(correlation, correlation.value_fields)

    def observe(
        self, rule_id: str, at_s: float, tier: int, fields: Mapping[str, str]
    ) -> Correlated | None:
        """Count a match of one of its rules; what there is to tell."""
        values = _values(self.group_fields[rule_id], fields)
        if values is None:
            return None
        value = ""
        if self.correlation.value_fields:
            counted = _values(self.value_fields[rule_id], fields)
            if counted is None:
                return None
            value = _shown(counted)
        key = short(values)
        hit = Hit(self.steps[rule_id], at_s, tier, value)
        count, state = self.groups.add(key, hit)
        if not self.window.is_met(count):
            return None
        return Correlated(self.correlation, key, self._fields(values, count, state, fields))

    def _fields(
        self, values: list[str], count: int, state: State, newest: Mapping[str, str]
    ) -> Mapping[str, str]:
        group_by = self.correlation.group_by
        return {
            **newest,
            **dict(zip(group_by, values, strict=True)),
            **self.window.seen(state),
            "Count": self.window.shown_count(count),
            "GroupBy": ", ".join(group_by),
            "TimespanSeconds": str(self.correlation.timespan_s),
        }


class Correlator:
    """All correlations of a bundle.

    Args:
        correlations: what one refers to stands before it.
        max_bytes: of all open groups together, estimated from above.
    """

    def __init__(
        self, correlations: Iterable[Correlation] = (), *, max_bytes: int = MAX_BYTES
    ) -> None:
        self._watches: dict[str, _Watch] = {}
        self._by_rule: dict[str, list[str]] = {}
        self._tiers: dict[str, int] = {}
        self._max_bytes = max_bytes
        self._hits = self._met = self._size_bytes = 0
        self.refused: list[tuple[str, str]] = []
        """(id, reason) of the correlations that this device cannot run."""
        for correlation in correlations:
            self.add(correlation)

    def add(self, correlation: Correlation) -> None:
        """Take one into use, or into `refused`."""
        try:
            watch = _Watch(correlation)
        except RuleError as error:
            self.refused.append((correlation.rule_id, str(error)))
            return
        self._watches[correlation.rule_id] = watch
        for rule_id in correlation.rules:
            self._by_rule.setdefault(rule_id, []).append(correlation.rule_id)

    def inherit(self, before: Correlator) -> None:
        """Go on with the open groups of correlations that did not change."""
        self._tiers = before._tiers
        for rule_id, watch in self._watches.items():
            known = before._watches.get(rule_id)
            if known is not None and known.correlation == watch.correlation:
                self._watches[rule_id] = known
        self._size_bytes = sum(watch.groups.size_bytes for watch in self._watches.values())

    def observe(
        self, rule_id: str, at_s: float, tier: str, fields: Mapping[str, str]
    ) -> list[Correlated]:
        """Tell a match of a rule; returns what is met by it, chains included, in their order."""
        if rule_id not in self._by_rule:
            return []
        number = self._tier(tier)
        found: dict[str, Correlated] = {}
        waiting = [(rule_id, fields)]
        while waiting:  # ends: an event meets each correlation at most once
            met_id, seen = waiting.pop()
            for watching_id in self._by_rule.get(met_id, ()):
                watch = self._watches[watching_id]
                correlated = self._count(watch, met_id, at_s, number, seen)
                if correlated is not None and correlated.correlation.rule_id not in found:
                    found[correlated.correlation.rule_id] = correlated
                    waiting.append((correlated.correlation.rule_id, correlated.fields))
        self._met += len(found)
        return list(found.values())

    def counters(self) -> Mapping[str, int]:
        """What was done since these correlations are in use."""
        groups = [watch.groups for watch in self._watches.values()]
        return {
            "in": self._hits,
            "met": self._met,
            "groups": sum(map(len, groups)),
            "bytes": self._size_bytes,
            "evicted": sum(group.evicted for group in groups),
        }

    def _tier(self, tier: str) -> int:
        number = self._tiers.get(tier)
        if number is None:
            number = min(len(self._tiers), MAX_TIERS)
            if number < MAX_TIERS:
                self._tiers[tier] = number
        return number

    def _count(
        self, watch: _Watch, rule_id: str, at_s: float, tier: int, fields: Mapping[str, str]
    ) -> Correlated | None:
        groups = watch.groups
        before_bytes = groups.size_bytes
        correlated = watch.observe(rule_id, at_s, tier, fields)
        if groups.young_bytes * GENERATION_SHARE > self._max_bytes:
            groups.shed()
        self._hits += 1
        self._size_bytes += groups.size_bytes - before_bytes
        while self._size_bytes > self._max_bytes:
            self._shed_largest()
        return correlated

    def _shed_largest(self) -> None:
        largest = max((w.groups for w in self._watches.values()), key=lambda g: g.size_bytes)
        before_bytes = largest.size_bytes
        largest.shed()
        self._size_bytes += largest.size_bytes - before_bytes


def _by_rule(correlation: Correlation, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """What each rule's events call these fields."""
    aliases = {(alias.name, alias.rule_id): alias.field for alias in correlation.aliases}
    return {
        rule_id: tuple(aliases.get((name, rule_id), name) for name in names)
        for rule_id in correlation.rules
    }


def _values(names: tuple[str, ...], fields: Mapping[str, str]) -> list[str] | None:
    values: list[str] = []
    for name in names:
        value = fields.get(name)
        if not value:
            return None
        values.append(value)
    return values


def _shown(values: list[str]) -> str:
    """A combination of values as it is counted and shown."""
    if len(values) == 1 and len(values[0]) <= MAX_TEXT:
        return values[0]
    return short(values).replace("\0", " / ")
