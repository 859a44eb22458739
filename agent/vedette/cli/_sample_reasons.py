"""Why an event meets a condition, or what came nearest and what was missing, clause by clause."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import NamedTuple, assert_never

from vedette.codec.text import shorten
from vedette.core.arguments import argument, place_of
from vedette.core.condition import FIELD_ALIASES, View, compile_condition, view
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not

_SHOWN_CHARS = 100
_COMPARED_CHARS = 512


class Clause(NamedTuple):
    """One comparison that decided, and the values it was asked of.

    Attributes:
        is_excluding: it stands under a `not`, where being met is what keeps a rule from matching.
        is_met: by one of `values`.
        values: of its field, of the field's alias, or of all fields for a keyword; () when the
            event has none.
    """

    match: Match
    is_excluding: bool
    is_met: bool
    values: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What was wanted and what came."""
        wanted = (
            f"{self.match.field or 'any field'} {self.match.operator} {_short(self.match.value)}"
        )
        found = " or ".join(map(_short, self.values)) or "nothing"
        negation = "not: " if self.is_excluding else ""
        if self.is_met:
            return f"{negation}{wanted}: {found}"
        return f"{negation}expected {wanted}, got {found}"


def explain(condition: Condition, fields: Mapping[str, str]) -> list[Clause]:
    """The clauses that a condition is met by, or the fewest that keep an event from meeting it."""
    event = view(fields)
    return _clauses(condition, event, is_met=_is_met(condition, event), is_excluding=False)


def nearest_text(match: Match, values: Iterable[str]) -> str:
    """The longest part of a wanted text that a value holds, "" when it has nothing of it."""
    best = ""
    for value in values:
        wanted, given = match.value.lower(), value.lower()[:_COMPARED_CHARS]
        matcher = difflib.SequenceMatcher(None, wanted, given, autojunk=False)
        found = matcher.find_longest_match()
        best = max(best, wanted[found.a : found.a + found.size], key=len)
    return best


def _is_met(condition: Condition, event: View) -> bool:
    return compile_condition(condition)(event)


def _clauses(
    condition: Condition, event: View, *, is_met: bool, is_excluding: bool
) -> list[Clause]:
    match condition:
        case Match():
            return [Clause(condition, is_excluding, is_met, tuple(_values(condition, event)))]
        case Not():
            return _clauses(condition.part, event, is_met=not is_met, is_excluding=not is_excluding)
        case AnyOf() if not is_met:
            options = (
                _clauses(part, event, is_met=False, is_excluding=is_excluding)
                for part in _nearest(condition, event)
            )
            return min(options, key=len, default=[])
        case AllOf() | AnyOf():
            parts = [part for part in condition.parts if _is_met(part, event) == is_met]
            chosen = parts if isinstance(condition, AllOf) else parts[:1]
            return [
                clause
                for part in chosen
                for clause in _clauses(part, event, is_met=is_met, is_excluding=is_excluding)
            ]
        case _:
            assert_never(condition)


def _nearest(condition: AnyOf, event: View) -> list[Condition]:
    """Of alternatives on one field only the likest is worth telling."""
    best: dict[str, tuple[int, Match]] = {}
    rest: list[Condition] = []
    for part in condition.parts:
        if not isinstance(part, Match):
            rest.append(part)
            continue
        score = len(nearest_text(part, _values(part, event)))
        if part.field not in best or score > best[part.field][0]:
            best[part.field] = (score, part)
    return [*rest, *(part for _, part in best.values())]


def _values(match: Match, event: View) -> list[str]:
    if match.field == "":
        return list(event.plain.values())
    if place_of(match.field):
        found = argument(event.plain, place_of(match.field))
        return [] if found is None else [found]
    names = (match.field, FIELD_ALIASES.get(match.field, ""))
    return [event.plain[name] for name in names if name in event.plain]


def _short(value: str) -> str:
    return repr(shorten(value, _SHOWN_CHARS))
