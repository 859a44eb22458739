"""Find what is wrong with rules before a device does.

Looks for regular expressions that RE2 refuses or that a hostile line holds up, clauses that can
never be met, exclusions without effect, rules in the shadow of others, twins, and what is missing:
id, author, level, tags, samples. What is said to be impossible is proven; a shadow or contradiction
that cannot be proven is not told. Codes: agent/docs/lint-codes.md. A comment in a rule's file

  # lint: allow VR110 both names are what the vendor's manual says

stands for "we know". Examples:

  vedette rules lint rules
  vedette rules lint --fail-on error --json rules | jq '.[].code'

Exit codes: 0 nothing at or above --fail-on, 1 something, 2 nothing could be looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from vedette.cli._diagnostic import Diagnostic, Level, lines
from vedette.cli._options import add_json, summary
from vedette.cli._terminal import Painter, is_coloured

_LEVELS = tuple(level.name.lower() for level in Level)


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    parser = actions.add_parser("lint", help=summary(__doc__), description=__doc__)
    parser.add_argument(
        "sources", nargs="*", type=Path, metavar="SRC", default=[Path("rules")],
        help="files and folders (default: rules)",
    )  # fmt: skip
    parser.add_argument(
        "--fail-on", choices=_LEVELS, default="warning",
        help="exit with 1 from this level on (default: warning)",
    )  # fmt: skip
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="CODE", help="say nothing of this code"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look at the rules and tell what was found, by file and line."""
    from vedette.cli._lint import lint  # noqa: PLC0415 (the compiler: not for --help)

    result = lint(args.sources, ignored=frozenset(args.ignore))
    if args.json:
        print(json.dumps([found.for_programs() for found in result.found]))
    else:
        _tell(result.found, result.rules)
    limit = Level[args.fail_on.upper()]
    return 1 if any(found.level >= limit for found in result.found) else 0


def _tell(found: Sequence[Diagnostic], rules: int) -> None:
    painter = Painter(is_coloured=is_coloured(sys.stdout))
    for diagnostic in found:
        print("\n".join(lines(diagnostic, painter)))
    words = [_count(sum(one.level is level for one in found), level) for level in reversed(Level)]
    print(f"{rules} rules: {', '.join(words)}")


def _count(number: int, level: Level) -> str:
    return f"{number} {level.name.lower()}{'' if number == 1 else 's'}"
