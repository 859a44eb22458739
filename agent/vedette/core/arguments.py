"""Arguments by their place (a1, a2, ... as auditd calls them), from what an execution tells.

Rule 1: the command line is argv joined by spaces; where that does not tell where each argument
begins, the field `Arguments` has them joined by NUL, which no argument can hold.
Rule 2: they are worked out for the few events that lead to a rule, never for each event.
Rule 3: of a line longer than SCAN_CHARS only arguments wholly within its head are known, so that
each is also in what is searched of the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vedette.core.condition import HEAD_CHARS, SCAN_CHARS

MAX_PLACE = 63
"""Ours: SigmaHQ's Linux rules look at a7 at most."""

SOURCES = ("CommandLine", "Arguments")
"""The fields that arguments are worked out from."""

_SEPARATOR = "\0"
_PLACES = {f"a{place}": place for place in range(1, MAX_PLACE + 1)}


def place_of(field: str) -> int:
    """The place of an argument (argv[0] is the field Argv0), 0 for any other field."""
    return _PLACES.get(field, 0)


def worked_out(fields: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The arguments among some fields that an execution has, by their names."""
    known = ((name, argument(fields, place_of(name))) for name in names if place_of(name))
    return {name: value for name, value in known if value is not None}


def argument(fields: Mapping[str, str], place: int) -> str | None:
    """One argument of an execution (`place` 1 or more), None where it is not known."""
    text = fields.get("Arguments")
    separator = _SEPARATOR
    if not text:
        text = fields.get("CommandLine", "")
        separator = " "
    is_cut = len(text) > SCAN_CHARS
    parts = (text[:HEAD_CHARS] if is_cut else text).split(separator, place + 1)
    if len(parts) <= place or (is_cut and len(parts) == place + 1):
        return None
    return parts[place]
