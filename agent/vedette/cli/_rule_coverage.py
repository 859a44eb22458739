"""What the tiers of a device can see of a set of rules, honest about what they cannot.

Rule 1: a rule is seen whole by a tier that fills every field it looks at, in part by one that
leaves some of its clauses able to match, and not at all by any other.
Rule 2: a technique is covered by a tier when a rule with its tag is seen there, whole or in part;
that says that something of it is seen, never that all of it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from vedette.cli._specialise import specialise
from vedette.cli._tier_fields import fields_of_tier, tiers_of, values_of_tier
from vedette.core.condition import compile_condition, view
from vedette.core.partition import fields_of
from vedette.model.rule import Bundle, Condition, Correlation, Match, Rule

_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.IGNORECASE)


class Sight(StrEnum):
    """How much of a rule a tier sees."""

    WHOLE = "whole"
    PART = "part"
    NONE = "none"


class Seen(NamedTuple):
    """What one tier sees of one rule, and which fields or values it lacks for the rest."""

    tier: str
    sight: Sight
    lacks: tuple[str, ...]


class RuleCoverage(NamedTuple):
    """One Sigma rule or correlation.

    Attributes:
        seen: by category, what each of its tiers sees, best tier first.
        missing: what no tier sees, in words.
    """

    rule_id: str
    title: str
    level: str
    techniques: tuple[str, ...]
    seen: Mapping[str, tuple[Seen, ...]]
    missing: tuple[str, ...]

    @property
    def sight(self) -> Sight:
        """What all tiers together see of it."""
        sights = {seen.sight for tiers in self.seen.values() for seen in tiers}
        if Sight.WHOLE in sights and not self.missing:
            return Sight.WHOLE
        return Sight.PART if sights - {Sight.NONE} else Sight.NONE

    def sight_of(self, tier: str) -> Sight | None:
        """What one tier sees of it; None where it has nothing to do with the rule."""
        sights = {one.sight for tiers in self.seen.values() for one in tiers if one.tier == tier}
        if not sights:
            return None
        if sights == {Sight.WHOLE} and not self.missing:
            return Sight.WHOLE
        return Sight.PART if sights - {Sight.NONE} else Sight.NONE


def cover(
    bundle: Bundle, missing: Mapping[str, Sequence[str]], tiers: Collection[str]
) -> list[RuleCoverage]:
    """Judge every rule of a bundle, then its correlations.

    Args:
        bundle: its digest and dates are not looked at.
        missing: by rule id, what the compiler found that no sensor sees.
        tiers: those of the device.
    """
    parts: dict[str, list[Rule]] = {}
    for rule in bundle.rules:
        parts.setdefault(rule.rule_id, []).append(rule)
    covered = {
        rule_id: _of_rule(rules, missing.get(rule_id, ()), tiers)
        for rule_id, rules in parts.items()
    }
    for correlation in bundle.correlations:
        covered[correlation.rule_id] = _of_correlation(correlation, covered)
    return list(covered.values())


def techniques_of(covered: Iterable[RuleCoverage]) -> list[str]:
    """All techniques that tags name, sorted."""
    return sorted({technique for one in covered for technique in one.techniques})


def _of_rule(rules: Sequence[Rule], missing: Sequence[str], tiers: Collection[str]) -> RuleCoverage:
    seen = {rule.category: tuple(_seen(rule, tiers)) for rule in rules}
    first = rules[0]
    unseen = list(missing)
    for category, sights in seen.items():
        if not sights and not missing:
            unseen.append(f"no tier gives events of {category}")
        elif all(one.sight is not Sight.WHOLE for one in sights):
            unseen += [lack for one in sights[:1] for lack in one.lacks]
    return RuleCoverage(
        rule_id=first.rule_id,
        title=first.title,
        level=first.severity.name.lower(),
        techniques=_techniques(first.tags),
        seen=seen,
        missing=tuple(dict.fromkeys(unseen)),
    )


def _of_correlation(correlation: Correlation, covered: Mapping[str, RuleCoverage]) -> RuleCoverage:
    """A correlation is seen as far as the rules it counts are."""
    rules = [covered[rule_id] for rule_id in correlation.rules]
    blind = [one for one in rules if one.sight is Sight.NONE]
    partly = [one for one in rules if one.sight is Sight.PART]
    needs_all = correlation.kind.startswith("temporal")
    is_blind = len(blind) == len(rules) or (needs_all and blind)
    sight = Sight.NONE if is_blind else Sight.PART if blind or partly else Sight.WHOLE
    return RuleCoverage(
        rule_id=correlation.rule_id,
        title=correlation.title,
        level=correlation.severity.name.lower(),
        techniques=_techniques(correlation.tags),
        seen={"correlation": (Seen("rules", sight, ()),)},
        missing=tuple(f"its rule {one.title!r}" for one in (*blind, *partly)),
    )


def _seen(rule: Rule, tiers: Collection[str]) -> Iterator[Seen]:
    for tier in tiers_of(rule.category):
        if tier in tiers:
            yield _seen_by(rule.category, rule.condition, tier, tiers)


def _seen_by(category: str, condition: Condition, tier: str, tiers: Collection[str]) -> Seen:
    known = fields_of_tier(category, tier, tiers)
    lacks: dict[str, None] = {}

    def rewrite(match: Match) -> Condition | bool:
        for field in fields_of(match):
            if field and field not in known:
                lacks[field] = None
                return match.operator == "null" or (
                    match.operator == "exists" and match.value == "false"
                )
        values = values_of_tier(category, tier, match.field)
        if values is None or _may_be(match, values):
            return match
        lacks[f"{match.field} {match.value}"] = None
        return False

    left = specialise(condition, rewrite)
    if left is False:
        return Seen(tier, Sight.NONE, tuple(lacks))
    return Seen(tier, Sight.PART if lacks else Sight.WHOLE, tuple(lacks))


def _may_be(match: Match, values: Iterable[str]) -> bool:
    check = compile_condition(match)
    return any(check(view({match.field: value})) for value in values)


def _techniques(tags: Iterable[str]) -> tuple[str, ...]:
    found = (_TECHNIQUE.fullmatch(tag) for tag in tags)
    return tuple(dict.fromkeys(match[1].upper() for match in found if match))
