"""Responses as a person reads them; pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from vedette.codec.response import read_target, target_words
from vedette.codec.strict_json import Json
from vedette.codec.text import escape, human_age, quoted
from vedette.errors import ParseError


def lines(answer: Mapping[str, Json]) -> list[str]:
    """What is in force, then what was done, newest first."""
    active, entries = _rows(answer, "active"), _rows(answer, "entries")
    found = ["in force", *(f"  {_active(row)}" for row in active)] if active else ["in force: none"]
    return [*found, "", "journal", *(f"  {line}" for line in _entries(entries))]


def _active(row: Mapping[str, Json]) -> str:
    left = row.get("left_s")
    lasts = f"{human_age(left)} left" if isinstance(left, int | float) and left else "until undone"
    state = "" if row.get("state") == "held" else f" ({row.get('state')})"
    return f"{escape(str(row.get('id')))}  {_what(row)}{escape(state)}, {lasts}; {_why(row)}"


def _entries(rows: list[Mapping[str, Json]]) -> Iterator[str]:
    if not rows:
        yield "nothing was done yet"
    for row in rows:
        wall = row.get("wall_s")
        when = datetime.fromtimestamp(wall, UTC) if isinstance(wall, int | float) else None
        clock = f"{when:%Y-%m-%d %H:%M:%S}" if when is not None else "?"
        said = "; ".join(
            escape(str(row[name])) for name in ("status", "detail", "reason", "by") if row.get(name)
        )
        phase = escape(str(row.get("phase")))
        yield f"{clock}  {escape(str(row.get('id')))}  {_what(row)}, {phase}: {said or _why(row)}"


def _what(row: Mapping[str, Json]) -> str:
    try:
        words = target_words(read_target(row.get("target")))
    except ParseError:
        words = quoted(row.get("target"))
    mode = "" if row.get("mode") == "enforce" else " (observed)"
    return f"{escape(str(row.get('responder')))} {words}{mode}"


def _why(row: Mapping[str, Json]) -> str:
    playbook = f" by {row['playbook']}" if row.get("playbook") else ""
    return escape(f"because of {row.get('cause')}{playbook}")


def _rows(answer: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    found = answer.get(name)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
