"""Run the samples beside each rule, and explain each that does not go as it should.

NAME.match.yml holds events that NAME.yml must find, NAME.nomatch.yml events that it must not. For a
correlation they hold sequences of events with times:

  - name: five failures, then a login
    events:
      - {category: 'service:sshd', Message: 'Failed password for root', times: 5, every: 2s}
      - {category: 'service:sshd', Message: 'Accepted password for root', at: 30s}

{n} in a value is the number of the repetition. More: agent/docs/writing-rules.md. Examples:

  vedette rules test rules
  vedette rules test --verbose rules/persistence/cron_drop.yml

Exit codes: 0 all as expected, 1 a rule was refused or a sample went wrong, 2 nothing could be done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.cli._options import add_json, summary
from vedette.cli._terminal import BOLD, GREEN, GREY, RED, YELLOW, Painter, is_coloured
from vedette.codec.text import escape
from vedette.errors import RuleError

if TYPE_CHECKING:
    from vedette.cli._rule_samples import Outcome, Subjects
    from vedette.model.rule import Bundle


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    test = actions.add_parser("test", help=summary(__doc__), description=__doc__)
    test.add_argument("sources", nargs="*", type=Path, metavar="SRC", default=[Path("rules")])
    test.add_argument("--verbose", action="store_true", help="say why, also where all is well")
    add_json(test)
    test.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run every sample and tell what did not go as its file says."""
    from vedette.cli._rule_folder import collect  # noqa: PLC0415 (the compiler: not for --help)
    from vedette.cli._rule_samples import subjects  # noqa: PLC0415
    from vedette.cli._rule_summary import complain  # noqa: PLC0415

    collected = collect(args.sources)
    bundle = collected.bundle("samples", 0, 0, 0)
    problems: list[str] = []
    results = [(of, _outcomes(of, bundle, problems)) for of in subjects(collected)]
    failed = [out for _, outcomes in results for out in outcomes if not out.is_expected]
    if args.json:
        print(json.dumps(_for_programs(results, [*collected.problems, *problems])))
    else:
        complain(collected)
        for problem in problems:
            print(escape(f"refused {problem}"), file=sys.stderr)
        _tell(results, is_verbose=args.verbose)
        count = sum(len(outcomes) for _, outcomes in results)
        print(f"{_total(results)} rules, {count} samples, {len(failed)} not as expected")
    return 1 if failed or problems or collected.problems else 0


def _outcomes(of: Subjects, bundle: Bundle, problems: list[str]) -> list[Outcome]:
    """The outcomes before the first sample that cannot be used; that one is a problem."""
    from vedette.cli._rule_samples import run_file  # noqa: PLC0415

    outcomes: list[Outcome] = []
    try:
        outcomes.extend(run_file(of, bundle))
    except RuleError as error:
        problems.append(str(error))
    return outcomes


def _total(results: Sequence[tuple[Subjects, list[Outcome]]]) -> int:
    return sum(len(of.rules) + len(of.correlations) + len(of.filters) for of, _ in results)


def _tell(results: Sequence[tuple[Subjects, list[Outcome]]], *, is_verbose: bool) -> None:
    painter = Painter(is_coloured=is_coloured(sys.stdout))
    for of, outcomes in results:
        if not outcomes:
            print(painter.paint(f"{of.file}: no samples", YELLOW))
        for outcome in outcomes:
            if is_verbose or not outcome.is_expected:
                for line in _lines(outcome, painter):
                    print(line)


def _lines(outcome: Outcome, painter: Painter) -> Iterator[str]:
    word = painter.paint("ok", GREEN) if outcome.is_expected else painter.paint("WRONG", RED)
    what = "matches" if outcome.is_met else "does not match"
    name = f" ({outcome.name})" if outcome.name else ""
    yield f"{word} {painter.paint(outcome.place, BOLD)}: " + escape(
        f"{outcome.title!r} {what}{name}"
    )
    for reason in outcome.reasons:
        yield "   " + (painter.paint(reason, GREY) if outcome.is_expected else escape(reason))


def _for_programs(
    results: Sequence[tuple[Subjects, list[Outcome]]], problems: Sequence[str]
) -> dict[str, object]:
    return {
        "problems": list(problems),
        "files": [
            {
                "file": str(of.file),
                "title": of.title,
                "ids": [
                    *(one.rule.rule_id for one in of.rules),
                    *(one.correlation.rule_id for one in of.correlations),
                ],
                "samples": [outcome._asdict() for outcome in outcomes],
            }
            for of, outcomes in results
        ],
    }
