"""How quiet rules are on days without attacks: findings in 10,000 events, by class of device.

Rule 1: with our rules and the filters of the class, beside the same rules without the class, and
with SigmaHQ's Linux rules where these are at hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.bench.figure import Figure, figure
from tests.simulators.iot_stream import CLASSES, judged_day

from vedette.cli._rule_folder import collect

ROOT = Path(__file__).parents[2]
RULES = ROOT / "rules"
CORPUS = ROOT.parent / "shared" / "corpora" / "sigma-linux"
BUDGET_PER_10_000 = 1.0
SEED = 1


def figures() -> Iterator[Figure]:
    """One figure for each class and set of rules."""
    ours = collect([RULES]).bundle("ours", 1, 0, 0)
    count = f"{len(ours.rules)} rules, {len(ours.correlations)} correlations"
    for device_class in CLASSES:
        bare = judged_day(device_class, SEED, ours)
        day = judged_day(device_class, SEED, ours, configured=device_class)
        yield figure(
            f"quiet day, {device_class}, our rules: findings in 10,000 events",
            [day.per_10_000], "findings", BUDGET_PER_10_000,
            f"beside the budget; {count}, {day.judged} events, {day.repeated:.1%} repeats; "
            f"{bare.per_10_000:.2g} without the filters of the class",
        )  # fmt: skip
    if CORPUS.exists():
        yield from _with_corpus()


def _with_corpus() -> Iterator[Figure]:
    both = collect([RULES, CORPUS]).bundle("both", 1, 0, 0)
    for device_class in CLASSES:
        day = judged_day(device_class, SEED, both, configured=device_class)
        loudest = "; ".join(f"{count} {title}" for title, count in list(day.findings.items())[:3])
        yield figure(
            f"quiet day, {device_class}, ours and SigmaHQ's rules: findings in 10,000 events",
            [day.per_10_000], "findings", None, f"{len(both.rules)} rules; loudest: {loudest}",
        )  # fmt: skip
