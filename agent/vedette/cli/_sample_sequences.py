"""Runs a sequence of events through the rules of a correlation, and says how far it came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from vedette.cli._sample_file import Sample, SampleEvent
from vedette.cli._sample_reasons import explain
from vedette.core.correlation import Correlator
from vedette.core.engine import Engine
from vedette.model.rule import Bundle, Correlation, Rule

MAX_TOLD = 5
"""Events that matched nothing, and groups, of which a person wants to read."""

_TIER = "sample"


class SequenceOutcome(NamedTuple):
    """Whether a correlation was met, and what led there, one line each."""

    is_met: bool
    reasons: tuple[str, ...]


class _Hit(NamedTuple):
    """One match of a rule that the correlation speaks of; `number` is the event's, from 1."""

    number: int
    rule_id: str
    at_s: float
    group: tuple[str, ...] | None
    value: tuple[str, ...]


def run_sequence(bundle: Bundle, correlation: Correlation, sample: Sample) -> SequenceOutcome:
    """Give a sequence to a correlation and all that it speaks of.

    Args:
        bundle: holds them.
        correlation: the one that is asked about.
        sample: its events.
    """
    needed = _needed(bundle, correlation)
    watched = [one for one in bundle.correlations if one.rule_id in needed]
    rules = tuple(rule for rule in bundle.rules if rule.rule_id in needed)
    engine = Engine(Bundle("samples", 0, 0, 0, rules, (), "", (), bundle.exclusions), memo=0)
    correlator = Correlator(watched)
    hits: list[_Hit] = []
    missed: list[SampleEvent] = []
    is_met = False
    for number, event in enumerate(sample.events, start=1):
        matches = list(_matches(engine, correlator, rules, event))
        is_met = is_met or any(rule_id == correlation.rule_id for rule_id, _ in matches)
        own = [
            _hit(correlation, number, rule_id, event.at_s, fields)
            for rule_id, fields in matches
            if rule_id in correlation.rules
        ]
        hits += own
        if not matches:
            missed.append(event)
    titles = {rule.rule_id: rule.title for rule in rules}
    titles |= {one.rule_id: one.title for one in watched}
    reasons = [*_told_hits(correlation, hits, titles), *_told_missed(rules, missed)]
    if not is_met:
        reasons.append(_shortfall(correlation, hits))
    return SequenceOutcome(is_met, tuple(reasons))


def _needed(bundle: Bundle, correlation: Correlation) -> set[str]:
    """Ids of all that a correlation speaks of, itself included."""
    by_id = {one.rule_id: one for one in bundle.correlations}
    needed: set[str] = set()
    waiting = [correlation.rule_id]
    while waiting:
        rule_id = waiting.pop()
        if rule_id not in needed:
            needed.add(rule_id)
            waiting += by_id[rule_id].rules if rule_id in by_id else ()
    return needed


def _matches(
    engine: Engine, correlator: Correlator, rules: Sequence[Rule], event: SampleEvent
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """What one event meets: rules, then correlations."""
    categories = [event.category] if event.category else _categories(rules)
    for category in categories:
        for rule in engine.match(category, event.fields):
            yield rule.rule_id, event.fields
            for found in correlator.observe(rule.rule_id, event.at_s, _TIER, event.fields):
                yield found.correlation.rule_id, found.fields


def _categories(rules: Iterable[Rule]) -> list[str]:
    return list(dict.fromkeys(rule.category for rule in rules))


def _hit(
    correlation: Correlation, number: int, rule_id: str, at_s: float, fields: Mapping[str, str]
) -> _Hit:
    group = _values(correlation, correlation.group_by, rule_id, fields)
    is_whole = all(group)
    value = _values(correlation, correlation.value_fields, rule_id, fields)
    return _Hit(number, rule_id, at_s, group if is_whole else None, value)


def _values(
    correlation: Correlation, names: Iterable[str], rule_id: str, fields: Mapping[str, str]
) -> tuple[str, ...]:
    renamed = {alias.name: alias.field for alias in correlation.aliases if alias.rule_id == rule_id}
    return tuple(fields.get(renamed.get(name, name), "") for name in names)


def _told_hits(
    correlation: Correlation, hits: Sequence[_Hit], titles: Mapping[str, str]
) -> Iterator[str]:
    for rule_id in correlation.rules:
        own = [hit for hit in hits if hit.rule_id == rule_id]
        title = titles.get(rule_id, rule_id)
        if not own:
            yield f"{title!r} matched no event"
            continue
        groups = list(dict.fromkeys(_shown_group(correlation, hit) for hit in own))
        more = f" and {len(groups) - MAX_TOLD} more" if len(groups) > MAX_TOLD else ""
        where = f" of {'; '.join(groups[:MAX_TOLD])}{more}" if correlation.group_by else ""
        yield f"{title!r} matched {_numbers([hit.number for hit in own])}{where}"


def _shown_group(correlation: Correlation, hit: _Hit) -> str:
    if hit.group is None:
        return f"no group, since it lacks one of {', '.join(correlation.group_by)}"
    pairs = zip(correlation.group_by, hit.group, strict=True)
    return ", ".join(f"{name}={value!r:.60}" for name, value in pairs)


def _numbers(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"event {numbers[0]}"
    if len(numbers) <= MAX_TOLD:
        return f"events {', '.join(map(str, numbers))}"
    return f"{len(numbers)} events ({numbers[0]} to {numbers[-1]})"


def _told_missed(rules: Sequence[Rule], missed: Sequence[SampleEvent]) -> Iterator[str]:
    for event in missed[:MAX_TOLD]:
        nearest = [
            explain(rule.condition, event.fields)
            for rule in rules
            if event.category in ("", rule.category)
        ]
        best = min(nearest, key=len, default=[])
        why = "; ".join(clause.sentence for clause in best) or "no rule is about its category"
        yield f"the event of line {event.line} matched nothing: {why}"
    if len(missed) > MAX_TOLD:
        yield f"and {len(missed) - MAX_TOLD} more events matched nothing"


def _shortfall(correlation: Correlation, hits: Sequence[_Hit]) -> str:
    """How near the best group came."""
    groups: dict[tuple[str, ...], list[_Hit]] = {}
    for hit in hits:
        if hit.group is not None:
            groups.setdefault(hit.group, []).append(hit)
    counts = {
        group: max(_count(correlation, _window(correlation, own, last)) for last in own)
        for group, own in groups.items()
    }
    best = max(counts, key=lambda group: counts[group], default=None)
    wanted = " and ".join(f"{one.operator} {one.limit}" for one in correlation.thresholds)
    kind, span = correlation.kind, f"within {correlation.timespan_s} s"
    if best is None:
        return f"expected {kind} {wanted} {span}, got no match that belongs to a group"
    of = ", ".join(f"{n}={v!r:.60}" for n, v in zip(correlation.group_by, best, strict=True))
    return f"expected {kind} {wanted} {span}, got at most {counts[best]}" + (
        f" (of {of})" if of else ""
    )


def _window(correlation: Correlation, hits: Sequence[_Hit], last: _Hit) -> list[_Hit]:
    earliest_s = last.at_s - correlation.timespan_s
    return [hit for hit in hits if earliest_s <= hit.at_s <= last.at_s]


def _count(correlation: Correlation, hits: Sequence[_Hit]) -> int:
    match correlation.kind:
        case "event_count":
            return len(hits)
        case "value_count":
            return len({hit.value for hit in hits if all(hit.value)})
        case "temporal":
            return len({hit.rule_id for hit in hits})
        case "temporal_ordered":
            return _steps(correlation.rules, [hit.rule_id for hit in hits])


def _steps(wanted: Sequence[str], seen: Sequence[str]) -> int:
    """How many of the rules were seen in their order."""
    step = 0
    for rule_id in seen:
        if step < len(wanted) and rule_id == wanted[step]:
            step += 1
    return step
