"""Correlations the slow way: all matches are kept and each window is counted anew.

What core.correlation must equal on events that come in the order of their times. Of steps in order
it looks for any way through all hits, and so knows nothing of newest hits and starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vedette.core.windows import SKEW_S
from vedette.model.rule import Correlation


class _Hit(NamedTuple):
    number: int
    rule_id: str
    at_s: float
    tier: str
    values: tuple[str, ...]


class LinearCorrelator:
    """Takes the same correlations as core.correlation.Correlator and gives the same ids."""

    def __init__(self, correlations: Sequence[Correlation]) -> None:
        self._correlations = correlations
        self._hits: dict[tuple[str, tuple[str, ...]], list[_Hit]] = {}

    def observe(self, rule_id: str, at_s: float, tier: str, fields: Mapping[str, str]) -> list[str]:
        met = {rule_id: fields}
        for correlation in self._correlations:  # what one refers to stands before it
            for met_id in [known for known in met if known in correlation.rules]:
                group = _fields(correlation, correlation.group_by, met_id, met[met_id])
                values = _fields(correlation, correlation.value_fields, met_id, met[met_id])
                if None in group or None in values:
                    continue
                key = (correlation.rule_id, group)
                hits = self._hits.setdefault(key, [])
                hits.append(_Hit(len(hits), met_id, at_s, tier, values))
                count = _count(correlation, hits)
                if count and all(
                    _holds(name, count, limit) for name, limit in _bounds(correlation)
                ):
                    names = dict(zip(correlation.group_by, group, strict=True))
                    met.setdefault(correlation.rule_id, {**met[met_id], **names})
        return [found for found in met if found != rule_id]


def _fields(
    correlation: Correlation, names: Sequence[str], rule_id: str, fields: Mapping[str, str]
) -> tuple[str, ...]:
    real = {alias.name: alias.field for alias in correlation.aliases if alias.rule_id == rule_id}
    return tuple(fields.get(real.get(name, name)) or None for name in names)  # type: ignore[misc]


def _bounds(correlation: Correlation) -> Sequence[tuple[str, int]]:
    return correlation.thresholds


def _holds(name: str, count: int, limit: int) -> bool:
    return {
        "gt": count > limit, "gte": count >= limit, "lt": count < limit, "lte": count <= limit,
        "eq": count == limit, "neq": count != limit,
    }[name]  # fmt: skip


def _count(correlation: Correlation, hits: Sequence[_Hit]) -> int:
    """What the window counts that ends with the newest hit."""
    newest_s = max(hit.at_s for hit in hits)
    window = [hit for hit in hits if hit.at_s >= newest_s - correlation.timespan_s]
    match correlation.kind:
        case "event_count":
            return len(window)
        case "value_count":
            return len({hit.values for hit in window})
        case "temporal":
            return len({hit.rule_id for hit in window})
        case "temporal_ordered":
            return _longest_way(correlation.rules, window)


def _longest_way(rules: Sequence[str], window: Sequence[_Hit]) -> int:
    """How many steps a way takes that ends with the newest hit, or that it completes."""
    ways = [[hit] for hit in window if hit.rule_id == rules[0]]
    longest = 0
    while ways:
        longest = max([longest, *(len(way) for way in ways if window[-1] in way)])
        ways = [
            [*way, hit]
            for way in ways
            if len(way) < len(rules)
            for hit in window
            if hit.rule_id == rules[len(way)] and _follows(way[-1], hit)
        ]
    return longest


def _follows(earlier: _Hit, later: _Hit) -> bool:
    if earlier.tier == later.tier:
        return earlier.number < later.number
    return earlier.at_s <= later.at_s + SKEW_S
