"""Arguments by their place (a1, a2, ... as auditd calls them), from what an execution tells.

Rule 1: the command line is argv joined by spaces; where that does not tell where each argument
begins, the field `Arguments` has them joined by NUL, which no argument can hold.
Rule 2: they are worked out for the few events that lead to a rule, never for each event.
Rule 3: of a line that was cut (core/cut.py) only arguments wholly within its head are known, so
that each is also in what is searched of the command line.
"""

from __future__ import annotations

from collections.abc import Mapping

from vedette.core.cut import HEAD_CHARS, is_cut

MAX_PLACE = 63
"""Ours: SigmaHQ's Linux rules look at a7 at most."""

SOURCES = ("CommandLine", "Arguments")
"""The fields that arguments are worked out from."""

_PLACES = {f"a{place}": place for place in range(1, MAX_PLACE + 1)}


def place_of(field: str) -> int:
    """The place of an argument (argv[0] is the field Argv0), 0 for any other field."""
    return _PLACES.get(field, 0)


def argument(fields: Mapping[str, str], place: int) -> str | None:
    """One argument of an execution, None where there is none or it is not known.

    Args:
        fields: cut to what is looked at.
        place: 1 or more.
    """
    text = fields.get("Arguments")
    separator = "\0"
    if not text:
        text = fields.get("CommandLine", "")
        separator = " "
    if is_cut(text):
        parts = text[:HEAD_CHARS].split(separator)[:-1]
    else:
        parts = text.split(separator, place + 1)
    return parts[place] if place < len(parts) else None
