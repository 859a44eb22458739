"""Tell what rules would have found in a recording of a device, before it gets them.

A recording is what `vedette run --record FILE` wrote. Counted is every match of a rule, and what is
told of it; on the device matches are joined into incidents. A rule that would have been muted for
its cost or its noise says so. With --compare the rules that the device had stand beside.

  vedette rules backtest rules /tmp/day.vrec
  vedette rules backtest new.bundle /tmp/day.vrec --compare --max-rate 1

Exit codes: 0 tried, 1 more findings than --max-rate allows, a rule refused or the recording
damaged, 2 nothing could be tried.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.cli._options import add_json, summary
from vedette.cli._terminal import (
    BOLD,
    GREY,
    SEVERITY_COLOURS,
    YELLOW,
    Painter,
    columns,
    is_coloured,
)
from vedette.codec.text import escape, human_age, shorten

if TYPE_CHECKING:
    from vedette.cli._rule_backtest import Backtest, Example, Fired

RATE_EVENTS = 10_000
_TITLE_CHARS = 56
_VALUE_CHARS = 70


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    parser = actions.add_parser("backtest", help=summary(__doc__), description=__doc__)
    parser.add_argument("source", type=Path, metavar="SRC", help="a bundle, or files of rules")
    parser.add_argument("recording", type=Path, metavar="RECORDING")
    parser.add_argument(
        "--compare", action="store_true", help="count for the recording's own rules too"
    )
    parser.add_argument(
        "--max-rate", type=float, metavar="N",
        help=f"exit with 1 above so many findings in {RATE_EVENTS} events",
    )  # fmt: skip
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the recording through the rules and tell."""
    from vedette.cli._rule_backtest import backtest  # noqa: PLC0415 (the core: not for --help)
    from vedette.cli._rule_set import load_rule_set  # noqa: PLC0415

    rules = load_rule_set(args.source)
    for problem in rules.problems:
        print(escape(f"refused {problem}"), file=sys.stderr)
    found = backtest(args.recording, rules.bundle)
    before = backtest(args.recording, None) if args.compare else None
    if args.json:
        print(json.dumps(_for_programs(found, before)))
    else:
        _tell(found, before)
    if found.damage:
        print(escape(f"{args.recording}: read up to damage: {found.damage}"), file=sys.stderr)
    is_noisy = args.max_rate is not None and rate(found.findings, found.events) > args.max_rate
    return 1 if is_noisy or found.damage or rules.problems else 0


def rate(count: int, events: int) -> float:
    """Findings in RATE_EVENTS events."""
    return count * RATE_EVENTS / events if events else 0.0


def _tell(found: Backtest, before: Backtest | None) -> None:
    painter = Painter(is_coloured=is_coloured(sys.stdout))
    ids = [rule_id for rule_id, fired in found.fired.items() if fired.count]
    if before is not None:
        extra = [rule_id for rule_id, fired in before.fired.items() if fired.count]
        ids = list(dict.fromkeys([*ids, *extra]))
    ids.sort(key=lambda rule_id: -_counted(found, rule_id))
    print("\n".join(_table(ids, found, before, painter)))
    for rule_id in ids:
        if rule_id in found.fired:
            for line in _examples(found.fired[rule_id], painter):
                print(line)
    print(
        f"{found.events} events in {human_age(found.seconds)}: {found.findings} findings, "
        f"{rate(found.findings, found.events):.2f} in {RATE_EVENTS} events; "
        f"{len(found.fired) - len([i for i in ids if _counted(found, i)])} of {len(found.fired)} "
        "rules never fired"
        + (f"; the recording's own rules: {before.findings} findings" if before else "")
    )


def _table(ids: list[str], found: Backtest, before: Backtest | None, painter: Painter) -> list[str]:
    head = ["level", "rule", "fired", f"in {RATE_EVENTS}"] + (["before"] if before else [])
    rows = [[painter.paint(word, BOLD) for word in head]]
    for rule_id in ids:
        fired = found.fired.get(rule_id) or (before.fired[rule_id] if before else None)
        if fired is None:
            continue
        severity = fired.rule.severity
        count = _counted(found, rule_id)
        row = [
            painter.paint(severity.name.lower(), SEVERITY_COLOURS[severity]),
            shorten(escape(fired.rule.title), _TITLE_CHARS) + _remarks(fired, painter),
            str(count) if rule_id in found.fired else "-",
            f"{rate(count, found.events):.2f}",
        ]
        if before is not None:
            row.append(str(_counted(before, rule_id)) if rule_id in before.fired else "-")
        rows.append(row)
    return columns(rows, right=frozenset((2, 3, 4))) if len(rows) > 1 else []


def _remarks(fired: Fired, painter: Painter) -> str:
    words = [] if fired.rule.is_reported else ["feeds correlations only"]
    words += [f"would be muted {fired.muted} times"] if fired.muted else []
    return painter.paint(f" ({', '.join(words)})", YELLOW) if words else ""


def _examples(fired: Fired, painter: Painter) -> Iterator[str]:
    if fired.count and fired.examples:
        yield ""
        yield painter.paint(fired.rule.title, BOLD)
    for example in fired.examples if fired.count else ():
        yield f"    {_when(example)}  {painter.paint(_fields(example), GREY)}"


def _when(example: Example) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(example.wall_s))


def _fields(example: Example) -> str:
    pairs = (
        f"{name}={shorten(escape(value), _VALUE_CHARS)}"
        for name, value in list(example.fields.items())[:4]
    )
    return "  ".join(pairs)


def _counted(test: Backtest, rule_id: str) -> int:
    fired = test.fired.get(rule_id)
    return fired.count if fired is not None else 0


def _for_programs(found: Backtest, before: Backtest | None) -> dict[str, object]:
    return {
        "events": found.events,
        "seconds": found.seconds,
        "findings": found.findings,
        "rate": rate(found.findings, found.events),
        "damage": found.damage,
        "rules": [_rule(found.fired[rule_id], found.events) for rule_id in found.fired],
        "before": None
        if before is None
        else [_rule(fired, before.events) for fired in before.fired.values()],
    }


def _rule(fired: Fired, events: int) -> dict[str, object]:
    return {
        "id": fired.rule.rule_id,
        "title": fired.rule.title,
        "level": fired.rule.severity.name.lower(),
        "is_reported": fired.rule.is_reported,
        "count": fired.count,
        "rate": rate(fired.count, events),
        "muted": fired.muted,
        "examples": [
            {"wall_s": example.wall_s, "fields": dict(example.fields)} for example in fired.examples
        ],
    }
