"""Tell which rules and ATT&CK techniques the tiers of a device can see, and which not.

  vedette rules coverage rules
  vedette rules coverage rules.bundle --tiers audit,inotify,conntrack,log_file

A rule is seen whole where a tier fills all the fields it looks at, in part where some of its
clauses can match, and not at all elsewhere; what is missing is named. That a technique is covered
says that something of it is seen, never that all of it is.

Exit codes: 0 every rule is seen at least in part, 1 some are not, 2 nothing could be done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from vedette.cli import _coverage_markdown
from vedette.cli._options import add_json, summary
from vedette.cli._rule_coverage import RuleCoverage, Sight, cover, techniques_of
from vedette.cli._rule_set import load_rule_set
from vedette.cli._tier_fields import BEST_EFFORT, all_tiers
from vedette.codec.text import escape
from vedette.errors import RequestError


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    coverage = actions.add_parser("coverage", help=summary(__doc__), description=__doc__)
    coverage.add_argument(
        "source",
        nargs="?",
        type=Path,
        metavar="SRC",
        default=Path("rules"),
        help="a bundle, or a file or folder of rules (default: rules)",
    )
    coverage.add_argument(
        "--tiers",
        metavar="NAME,...",
        default="",
        help=f"those of the device, as doctor names them (default: {','.join(all_tiers())})",
    )
    coverage.add_argument("--markdown", action="store_true", help="as tables for a document")
    add_json(coverage)
    coverage.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge the rules and tell."""
    tiers = _tiers(args.tiers)
    rules = load_rule_set(args.source)
    for line in rules.problems:
        print(escape(f"refused {line}"), file=sys.stderr)
    covered = cover(rules.bundle, rules.missing, tiers)
    if args.json:
        print(json.dumps([_row(one) for one in covered]))
    elif args.markdown:
        print(_coverage_markdown.document(covered, tiers), end="")
    else:
        for line in _lines(covered, tiers):
            print(escape(line))
    return 1 if any(one.sight is Sight.NONE for one in covered) else 0


def _tiers(given: str) -> tuple[str, ...]:
    known = all_tiers()
    names = [name.strip() for name in given.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise RequestError(f"expected --tiers among {', '.join(known)}; got {name!r}")
    return tuple(tier for tier in known if tier in names) if names else known


def _row(one: RuleCoverage) -> dict[str, object]:
    return {
        "id": one.rule_id,
        "title": one.title,
        "level": one.level,
        "techniques": list(one.techniques),
        "seen": one.sight.value,
        "missing": list(one.missing),
        "tiers": {
            category: [
                {"tier": seen.tier, "seen": seen.sight.value, "lacks": list(seen.lacks)}
                for seen in sights
            ]
            for category, sights in one.seen.items()
        },
    }


def _lines(covered: Sequence[RuleCoverage], tiers: Sequence[str]) -> Iterator[str]:
    yield f"{'tier':15}{'rules':>6}{'whole':>7}{'part':>6}{'not':>5}{'techniques':>12}"
    for tier in tiers:
        sights = [sight for one in covered if (sight := one.sight_of(tier)) is not None]
        seen = [one for one in covered if one.sight_of(tier) in (Sight.WHOLE, Sight.PART)]
        counts = [sum(sight is wanted for sight in sights) for wanted in Sight]
        note = f"  best effort: {BEST_EFFORT[tier]}" if tier in BEST_EFFORT else ""
        yield (
            f"{tier:15}{len(sights):6}{counts[0]:7}{counts[1]:6}{counts[2]:5}"
            f"{len(techniques_of(seen)):12}{note}"
        )
    titles = {Sight.NONE: "not seen by any of these tiers", Sight.PART: "seen in part only"}
    for sight, title in titles.items():
        found = [one for one in covered if one.sight is sight]
        if found:
            yield ""
            yield f"{title}: {len(found)}"
        for one in found:
            yield f"  {one.title}: {'; '.join(one.missing) or 'see --json'}"
    whole = sum(one.sight is Sight.WHOLE for one in covered)
    yield ""
    yield (
        f"{len(covered)} rules and correlations, {whole} seen whole by at least one tier; "
        f"{len(techniques_of(covered))} techniques"
    )
