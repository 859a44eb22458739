"""Coverage as tables for a document: the same rules give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vedette.cli._rule_coverage import RuleCoverage, Sight, techniques_of
from vedette.cli._tier_fields import BEST_EFFORT
from vedette.codec.text import escape

_SIGNS = {Sight.WHOLE: "●", Sight.PART: "◐", Sight.NONE: "○"}
_NOTHING = "·"


def document(covered: Sequence[RuleCoverage], tiers: Sequence[str]) -> str:
    """Tables: tiers, techniques by tier, and what is not seen whole."""
    lines = [*_tiers(covered, tiers), "", *_techniques(covered, tiers), "", *_gaps(covered)]
    return "\n".join(lines).rstrip() + "\n"


def _tiers(covered: Sequence[RuleCoverage], tiers: Sequence[str]) -> Iterator[str]:
    yield "| tier | rules | whole | in part | not | techniques | |"
    yield "|---|--:|--:|--:|--:|--:|---|"
    for tier in tiers:
        sights = [sight for one in covered if (sight := one.sight_of(tier)) is not None]
        counts = " | ".join(str(sum(sight is wanted for sight in sights)) for wanted in Sight)
        seen = [one for one in covered if one.sight_of(tier) in (Sight.WHOLE, Sight.PART)]
        note = f"best effort: {BEST_EFFORT[tier]}" if tier in BEST_EFFORT else ""
        yield f"| {tier} | {len(sights)} | {counts} | {len(techniques_of(seen))} | {note} |"


def _techniques(covered: Sequence[RuleCoverage], tiers: Sequence[str]) -> Iterator[str]:
    """The best sight that a tier has of any rule of a technique."""
    yield f"| technique | {' | '.join(tiers)} |"
    yield f"|---|{':-:|' * len(tiers)}"
    for technique in techniques_of(covered):
        of_it = [one for one in covered if technique in one.techniques]
        cells = [_best(of_it, tier) for tier in tiers]
        if any(cell != _NOTHING for cell in cells):  # else by correlations alone
            yield f"| {technique} | {' | '.join(cells)} |"


def _best(covered: Sequence[RuleCoverage], tier: str) -> str:
    sights = {one.sight_of(tier) for one in covered}
    return next((sign for sight, sign in _SIGNS.items() if sight in sights), _NOTHING)


def _gaps(covered: Sequence[RuleCoverage]) -> Iterator[str]:
    gaps = [one for sight in (Sight.NONE, Sight.PART) for one in covered if one.sight is sight]
    if not gaps:
        yield "Every rule is seen whole by at least one tier."
        return
    yield "| seen | rule | what no tier gives |"
    yield "|:-:|---|---|"
    for one in gaps:
        title = escape(one.title).replace("|", "\\|")
        missing = escape("; ".join(one.missing)).replace("|", "\\|")
        yield f"| {_SIGNS[one.sight]} | {title} | {missing} |"
