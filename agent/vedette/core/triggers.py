"""Triggers: the comparisons that lead to a rule, one of which must be true whenever the rule is.

Rule 1: a trigger may let a rule be looked at for nothing, but never let it be missed.
Rule 2: of all clauses a rule requires, the one that the fewest events are likely to meet is taken.
"""

from __future__ import annotations

from typing import assert_never

from vedette.core.arguments import place_of
from vedette.core.comparison import FIELD_OPERATORS, glob_literals
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not

# fmt: off
_COMMON = frozenset((
    "bash", "sh", "ash", "dash", "busybox", "toybox", "python", "python3", "perl", "cat",
    "grep", "rm", "sed", "awk", "cp", "mv", "ls", "ps", "ip", "id", "curl", "wget", "chmod",
    "crontab", "echo", "env", "sleep", "date", "root", "http", "https", "tmp", "bin", "usr",
    "etc", "var", "proc", "dev", "lib", "sbin", "local", "true", "false", "",
))
# fmt: on
"""Ours: names that a device's own scripts meet all the time, so that they lead to few rules."""

_COMMON_COST = 0.2
_EVERYWHERE_COST = 2.0  # a mere "/" or " -" is in nearly every value: many rarer texts are better
_SLOW_COST = 3.0  # searched in every new value of its field: dearer than rules asked for nothing
_KEYWORD_FACTOR = 4.0  # asked of every field
_GATED_CHARS = 7  # shorter substrings are searched one by one (core/engine_index.py)
_SHORT_COST = 0.01
_MAX_WEIGHED_CHARS = 12


def trigger(condition: Condition) -> list[Match] | None:
    """The best clause that a rule requires.

    Returns:
        Matches one of which is true whenever the condition is, or None when there is no such
        clause: the rule has to be asked of every event.
    """
    match condition:
        case Match():
            return _of_match(condition)
        case Not():
            return None
        case AnyOf():
            return _union(condition.parts)
        case AllOf():
            clauses = [clause for part in condition.parts if (clause := trigger(part)) is not None]
            return min(clauses, key=cost, default=None)
        case _:
            assert_never(condition)


def cost(clause: list[Match]) -> float:
    """How often a clause is likely to be met, relative to others; for choosing, not for truth."""
    return sum(map(_cost, clause))


def literal(match: Match) -> str:
    """The folded text that every value which meets the match holds, "" when none is known.

    A cased text beyond ASCII gives none: lower case depends on what stands around it (a final
    sigma), so folding value and literal apart could miss.
    """
    match match.operator:
        case "equals" | "contains" | "startswith" | "endswith":
            text = match.value
        case "glob":
            text = max(glob_literals(match.value), key=len, default="")
        case "re":
            text = match.gate
        case _:
            return ""
    if match.is_cased and not text.isascii():
        return ""
    return text.lower()


def _of_match(match: Match) -> list[Match] | None:
    if place_of(match.field):
        text = literal(match)  # an argument is somewhere in the command line
        return [Match("CommandLine", "contains", text, is_cased=False)] if text else None
    return [match] if _is_indexable(match) else None


def _is_indexable(match: Match) -> bool:
    if match.operator in ("exists", "null") or match.operator in FIELD_OPERATORS:
        return False
    # An empty literal is met by every value: no better than asking every event.
    return match.value != "" or match.operator == "equals"


def _union(parts: tuple[Condition, ...]) -> list[Match] | None:
    union: list[Match] = []
    for part in parts:
        clause = trigger(part)
        if clause is None:
            return None
        union += clause
    return union or None


def _cost(match: Match) -> float:
    text = literal(match)
    factor = 1.0 if match.field else _KEYWORD_FACTOR
    if not text:
        return factor * (0.01 if match.operator == "equals" else _SLOW_COST)
    bare = text.strip(" /-.")
    if bare in _COMMON:
        return factor * (_COMMON_COST if bare else _EVERYWHERE_COST)
    chance = 2.0 ** (-min(len(text.strip()), _MAX_WEIGHED_CHARS) / 1.5)
    if match.operator in ("equals", "startswith", "endswith"):
        return float(factor * chance / 2)
    return float(factor * (chance + (_SHORT_COST if len(text) < _GATED_CHARS else 0.0)))
