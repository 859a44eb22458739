"""Run the samples beside each rule.

  vedette rules test rules

Exit codes: 0 all as expected, 1 a rule was refused or a sample went wrong, 2 nothing could be done.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from vedette.cli._options import add_json, summary
from vedette.cli._rule_folder import collect
from vedette.cli._rule_samples import Outcome, run_samples
from vedette.cli._rule_summary import complain, describe
from vedette.cli._sigma_compiler import Compiled
from vedette.codec.text import escape


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    test = actions.add_parser("test", help=summary(__doc__), description=__doc__)
    test.add_argument("sources", nargs="*", type=Path, metavar="SRC", default=[Path("rules")])
    test.add_argument("--verbose", action="store_true", help="say why, also where all is well")
    add_json(test)
    test.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run every sample and tell what did not go as its file says."""
    collected = collect(args.sources)
    results = [(compiled, _outcomes(compiled)) for compiled in collected.compiled]
    failed = [out for _, outcomes in results for out in outcomes if not out.is_expected]
    if args.json:
        print(json.dumps([_row(compiled, outcomes) for compiled, outcomes in results]))
    else:
        complain(collected)
        _tell(results, is_verbose=args.verbose)
        count = sum(len(outcomes) for _, outcomes in results)
        print(f"{len(results)} rules, {count} samples, {len(failed)} not as expected")
    return 1 if failed or collected.problems else 0


def _outcomes(compiled: Compiled) -> list[Outcome]:
    return list(run_samples(compiled))


def _tell(results: Sequence[tuple[Compiled, list[Outcome]]], *, is_verbose: bool) -> None:
    for compiled, outcomes in results:
        if not outcomes:
            print(escape(f"{compiled.document.file}: no samples"))
        for outcome in outcomes:
            if outcome.is_expected and not is_verbose:
                continue
            word = "ok" if outcome.is_expected else "WRONG"
            what = "matches" if outcome.is_met else "does not match"
            print(escape(f"{word} {outcome.place}: {compiled.rule.title!r} {what}"))
            for reason in outcome.reasons:
                print(escape(f"   {reason}"))


def _row(compiled: Compiled, outcomes: Sequence[Outcome]) -> dict[str, object]:
    return describe(compiled) | {"samples": [outcome._asdict() for outcome in outcomes]}
