"""Tell what changed between two bundles or folders of rules.

Rules are told apart by their ids. Of a changed rule the clauses that came and went are shown, and
whether it now matches fewer events or more, where that can be proven. Signatures are not checked.

  vedette rules diff fielded.bundle rules
  vedette rules diff old.bundle new.bundle --json | jq '.removed[].title'

Exit codes: 0 nothing differs, 1 something does, 2 one of them could not be read.
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
from vedette.cli._terminal import BOLD, GREEN, GREY, RED, YELLOW, Painter, is_coloured
from vedette.codec.text import escape

if TYPE_CHECKING:
    from vedette.cli._rule_diff import Entry, EntryChange, FieldChange, SetChange

_DATES = {"issued_s", "expires_s"}
_CLAUSE_COLOURS = {"-": RED, "+": GREEN, " ": GREY}


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    parser = actions.add_parser("diff", help=summary(__doc__), description=__doc__)
    parser.add_argument("old", type=Path, metavar="OLD", help="a bundle, or files of rules")
    parser.add_argument("new", type=Path, metavar="NEW", help="a bundle, or files of rules")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare the two and tell what differs."""
    from vedette.cli._rule_diff import compare  # noqa: PLC0415 (heavy: not for --help)
    from vedette.cli._rule_set import load_rule_set  # noqa: PLC0415 (heavy: not for --help)

    old, new = load_rule_set(args.old), load_rule_set(args.new)
    for problem in (*old.problems, *new.problems):
        print(escape(f"refused {problem}"), file=sys.stderr)
    change = compare(old.bundle, new.bundle, are_signed=old.is_signed and new.is_signed)
    if args.json:
        print(json.dumps(_for_programs(change)))
    else:
        painter = Painter(is_coloured=is_coloured(sys.stdout))
        for line in _lines(change, painter):
            print(line)
    return 1 if change else 0


def _lines(change: SetChange, painter: Painter) -> Iterator[str]:
    for field in change.head:
        yield _field_line(field, painter, "")
    for sign, colour, entries in (("-", RED, change.removed), ("+", GREEN, change.added)):
        for entry in entries:
            yield painter.paint(f"{sign} {_headline(entry)}", colour)
    for changed in change.changed:
        yield from _changed_lines(changed, painter)
    yield (
        f"{len(change.added)} added, {len(change.removed)} removed, {len(change.changed)} changed"
    )


def _headline(entry: Entry) -> str:
    from vedette.cli._rule_diff import identity, kind_of, level_of  # noqa: PLC0415

    level = level_of(entry)
    return f"{kind_of(entry)} {entry.title} ({level + ', ' if level else ''}{identity(entry)})"


def _changed_lines(change: EntryChange, painter: Painter) -> Iterator[str]:
    yield painter.paint(f"~ {change.kind} {change.title} ({change.entry_id})", YELLOW)
    for field in change.fields:
        yield _field_line(field, painter, "    ")
    if change.clauses:
        effect = "what it matches is not comparable" if change.effect == "other events" else ""
        effect = effect or f"it now matches {change.effect}"
        yield f"    {painter.paint('clauses', BOLD)}: {effect}"
    for line in change.clauses:
        yield "      " + painter.paint(line, _CLAUSE_COLOURS[line[0]])


def _field_line(field: FieldChange, painter: Painter, indent: str) -> str:
    old, new = (_value(field.name, value) for value in (field.old, field.new))
    words = [painter.paint(f"- {old}", RED)] if old else []
    words += [painter.paint(f"+ {new}", GREEN)] if new else []
    return f"{indent}{painter.paint(field.name, BOLD)}: {'  '.join(words)}"


def _value(name: str, value: str) -> str:
    if name not in _DATES:
        return value
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(min(int(value), 253_402_300_799)))


def _for_programs(change: SetChange) -> dict[str, object]:
    from vedette.cli._rule_diff import identity, kind_of, level_of  # noqa: PLC0415

    def brief(entry: Entry) -> dict[str, str]:
        return {
            "kind": kind_of(entry),
            "id": identity(entry),
            "title": entry.title,
            "level": level_of(entry),
        }

    return {
        "head": [field._asdict() for field in change.head],
        "added": [brief(entry) for entry in change.added],
        "removed": [brief(entry) for entry in change.removed],
        "changed": [
            {
                "kind": changed.kind,
                "id": changed.entry_id,
                "title": changed.title,
                "fields": [field._asdict() for field in changed.fields],
                "clauses": list(changed.clauses),
                "effect": changed.effect,
            }
            for changed in change.changed
        ],
    }
