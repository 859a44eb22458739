"""Name the rules of files and folders with level, category and techniques.

  vedette rules list rules

Exit codes: 0 all compile, 1 a rule was refused, 2 nothing could be done.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vedette.cli._options import add_json, summary
from vedette.cli._rule_folder import collect
from vedette.cli._rule_summary import complain, describe
from vedette.codec.text import escape


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    listing = actions.add_parser("list", help=summary(__doc__), description=__doc__)
    listing.add_argument("sources", nargs="*", type=Path, metavar="SRC", default=[Path("rules")])
    add_json(listing)
    listing.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Name the rules with level, category and techniques."""
    collected = collect(args.sources)
    if args.json:
        print(json.dumps([describe(compiled) for compiled in collected.compiled]))
        return 1 if collected.problems else 0
    complain(collected)
    for compiled in collected.compiled:
        rule = compiled.rule
        tags = " ".join(tag.removeprefix("attack.") for tag in rule.tags if ".t" in tag)
        level = rule.severity.name.lower()
        print(escape(f"{level:13} {rule.category:20} {rule.title}  {tags}".rstrip()))
    print(f"{len(collected.compiled)} rules")
    return 1 if collected.problems else 0
