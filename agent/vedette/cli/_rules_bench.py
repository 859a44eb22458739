"""Measure what each rule costs, the most expensive first.

Without a stream, events are made from the values that the rules look for, no two the same: harder
than a device's day. A stream is a recording (`vedette run --record FILE`) or a file with one JSON
object a line: {"category": "process_creation", "Image": "/bin/sh"}.

  vedette rules bench rules
  vedette rules bench rules.bundle --stream /tmp/day.vrec --top 10

Columns: asked - how often the index led to the rule; of - share of the events; tried - how often
its trigger was tried, since it has no text to look up; chars - searched; us/ask - time for one of
these; us/event - spread over all events. A star marks rules without any trigger, which are asked of
every event of their category. Exit codes: 0 measured, 1 a rule was refused, 2 nothing measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.cli._options import add_json, summary
from vedette.cli._terminal import BOLD, GREY, YELLOW, Painter, columns, is_coloured
from vedette.codec.text import escape, shorten
from vedette.errors import RequestError

if TYPE_CHECKING:
    from vedette.cli._rule_bench import Bench, RuleCost

DEFAULT_EVENTS = 20_000
DEFAULT_TOP = 20
_TITLE_CHARS = 48
_US = 1e6


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    parser = actions.add_parser("bench", help=summary(__doc__), description=__doc__)
    parser.add_argument(
        "source", nargs="?", type=Path, metavar="SRC", default=Path("rules"),
        help="a bundle, or a file or folder of rules (default: rules)",
    )  # fmt: skip
    parser.add_argument("--stream", type=Path, metavar="FILE", help="events to run it on")
    parser.add_argument(
        "--events", type=int, default=DEFAULT_EVENTS, metavar="N",
        help=f"at most so many (default: {DEFAULT_EVENTS})",
    )  # fmt: skip
    parser.add_argument(
        "--top", type=int, default=DEFAULT_TOP, metavar="N",
        help=f"show so many rules (default: {DEFAULT_TOP})",
    )  # fmt: skip
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and tell."""
    from vedette.cli._event_stream import bounded, made_events, read_events  # noqa: PLC0415
    from vedette.cli._rule_bench import bench  # noqa: PLC0415 (heavy: not for --help)
    from vedette.cli._rule_set import load_rule_set  # noqa: PLC0415

    if args.events < 1 or args.top < 1:
        raise RequestError("expected --events and --top to be 1 or more")
    rules = load_rule_set(args.source)
    for problem in rules.problems:
        print(escape(f"refused {problem}"), file=sys.stderr)
    made = made_events(rules.bundle, args.events)
    found = bench(
        rules.bundle, bounded(read_events(args.stream) if args.stream else made, args.events)
    )
    if args.json:
        print(json.dumps(_for_programs(found)))
    else:
        _tell(found, args.top)
    return 1 if rules.problems or found.refused else 0


def _tell(found: Bench, top: int) -> None:
    painter = Painter(is_coloured=is_coloured(sys.stdout))
    head = ("rule", "asked", "of", "tried", "chars", "matches", "us/ask", "us/event")
    rows = [tuple(painter.paint(word, BOLD) for word in head)]
    asked = [cost for cost in found.costs if cost.asked or cost.tried]
    rows += [_row(cost, found.events, painter) for cost in asked[:top]]
    print("\n".join(columns(rows, right=frozenset(range(1, len(head))))))
    if len(asked) > top:
        print(painter.paint(f"... and {len(asked) - top} more; --top shows them", GREY))
    for rule_id, reason in found.refused:
        print(escape(f"refused {rule_id}: {reason}"), file=sys.stderr)
    always = sum(cost.is_always for cost in found.costs)
    print(
        f"{len(found.costs)} rules, {found.events} events: "
        f"{found.seconds / found.events * _US:.1f} us for each; {always} asked of every event, "
        f"{len(found.costs) - len(asked)} of none"
    )


def _row(cost: RuleCost, events: int, painter: Painter) -> tuple[str, ...]:
    title = shorten(escape(cost.rule.title), _TITLE_CHARS)
    return (
        painter.paint(f"{title} *", YELLOW) if cost.is_always else title,
        str(cost.asked),
        f"{cost.asked / events:.1%}",
        str(cost.tried),
        str(cost.chars),
        str(cost.matches),
        f"{cost.seconds / (cost.asked + cost.tried) * _US:.2f}",
        f"{cost.seconds / events * _US:.3f}",
    )


def _for_programs(found: Bench) -> dict[str, object]:
    return {
        "events": found.events,
        "us_per_event": found.seconds / found.events * _US,
        "refused": [{"id": rule_id, "reason": reason} for rule_id, reason in found.refused],
        "rules": [
            {
                "id": cost.rule.rule_id,
                "title": cost.rule.title,
                "asked": cost.asked,
                "tried": cost.tried,
                "chars": cost.chars,
                "matches": cost.matches,
                "us": cost.seconds * _US,
                "is_asked_of_every_event": cost.is_always,
            }
            for cost in found.costs
        ],
    }
