"""`python -m vedette_dev.coverage_page`: writes docs/coverage.md anew, between its markers.

Rule: a set of rules that is not beside this checkout keeps the text that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vedette.cli._coverage_markdown import document
from vedette.cli._rule_coverage import Sight, cover
from vedette.cli._rule_set import load_rule_set
from vedette.cli._tier_fields import all_tiers

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "agent" / "docs" / "coverage.md"
SETS: Mapping[str, Path] = {
    "ours": ROOT / "rules",
    "sigmahq": ROOT.parent / "shared" / "corpora" / "sigma-linux",
}
"""By the name in their markers."""


def section(rules: Path) -> str:
    """What the tiers see of a folder of rules."""
    found = load_rule_set(rules)
    covered = cover(found.bundle, found.missing, all_tiers())
    counts = {sight: sum(one.sight is sight for one in covered) for sight in Sight}
    head = (
        f"{len(found.bundle.correlations)} correlations and "
        f"{len(covered) - len(found.bundle.correlations)} rules: {counts[Sight.WHOLE]} are seen "
        f"whole by at least one tier, {counts[Sight.PART]} in part, {counts[Sight.NONE]} not."
    )
    return f"{head}\n\n{document(covered, all_tiers())}"


def replaced(page: str, name: str, text: str) -> str:
    """The page with the text between the markers of a set replaced.

    Raises:
        ValueError: the markers are not there once each, in order.
    """
    begin, end = f"<!-- coverage {name}: written by `make coverage` -->\n", f"<!-- /{name} -->"
    head, found_begin, rest = page.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"expected {begin.strip()} and {end} once each, in this order")
    return f"{head}{begin}\n{text}\n{end}{tail}"


def current(page: str) -> str:
    """The page as it should be, as far as the sets of rules are here."""
    for name, rules in SETS.items():
        if rules.exists():
            page = replaced(page, name, section(rules))
    return page


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text()))
    print(f"{PAGE}: written")
