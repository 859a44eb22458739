"""Runs the samples beside a rule, and says why a condition is met or what came nearest."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, assert_never

from vedette.cli._sigma_compiler import Compiled
from vedette.cli._sigma_document import Item, load_list
from vedette.core.arguments import argument, place_of
from vedette.core.condition import FIELD_ALIASES, View, compile_condition, view
from vedette.core.engine import Engine
from vedette.errors import RuleError
from vedette.model.rule import AllOf, AnyOf, Bundle, Condition, Match, Not

_SHOWN_CHARS = 100


class Outcome(NamedTuple):
    """How one sample went.

    Attributes:
        place: file:line of the sample.
        is_expected: whether the rule did what the sample's file says.
        reasons: which comparisons were met, or which were not, one line each.
    """

    place: str
    is_met: bool
    is_expected: bool
    reasons: tuple[str, ...]


def run_samples(compiled: Compiled) -> Iterator[Outcome]:
    """Run the samples of a rule through the engine; nothing comes when there are none.

    Raises:
        RuleError: a file of samples cannot be used.
    """
    engine = Engine(Bundle("samples", 0, 0, 0, compiled.rules, (), ""))
    for kind, wanted in (("match", True), ("nomatch", False)):
        file = compiled.document.file.with_suffix(f".{kind}.yml")
        for item in load_list(file) if file.exists() else []:
            yield _run(engine, compiled, file, item, is_wanted=wanted)


def explain(condition: Condition, fields: Mapping[str, str]) -> list[str]:
    """Why an event meets a condition, or the fewest comparisons that keep it from doing so."""
    event = view(fields)
    return _reasons(condition, event, is_met=_is_met(condition, event))


def _run(engine: Engine, compiled: Compiled, file: Path, item: Item, *, is_wanted: bool) -> Outcome:
    fields = {name: _text(file, item.line, value) for name, value in item.value.items()}
    category = fields.pop("category", compiled.rule.category)
    is_met = bool(engine.match(category, fields))
    asked = [rule.condition for rule in compiled.rules if rule.category == category]
    reasons = [line for condition in asked for line in explain(condition, fields)]
    return Outcome(f"{file}:{item.line}", is_met, is_met == is_wanted, tuple(reasons))


def _text(file: Path, line: int, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    raise RuleError(f"{file}:{line}:1: expected text or a number as value, got {value!r}")


def _is_met(condition: Condition, event: View) -> bool:
    return compile_condition(condition)(event)


def _reasons(condition: Condition, event: View, *, is_met: bool) -> list[str]:
    match condition:
        case Match():
            return [_sentence(condition, event, is_met=is_met)]
        case Not():
            return [f"not: {line}" for line in _reasons(condition.part, event, is_met=not is_met)]
        case AllOf() if is_met:
            return _joined(condition.parts, event, is_met=True)
        case AnyOf() if not is_met:
            return min(
                (_reasons(part, event, is_met=False) for part in _nearest(condition, event)),
                key=len,
            )
        case AllOf() | AnyOf():
            parts = tuple(part for part in condition.parts if _is_met(part, event) == is_met)
            return _joined(
                parts if isinstance(condition, AllOf) else parts[:1], event, is_met=is_met
            )
        case _:
            assert_never(condition)


def _joined(parts: tuple[Condition, ...], event: View, *, is_met: bool) -> list[str]:
    return [line for part in parts for line in _reasons(part, event, is_met=is_met)]


def _nearest(condition: AnyOf, event: View) -> list[Condition]:
    """Of alternatives on one field only the likest is worth telling."""
    best: dict[str, tuple[int, Match]] = {}
    rest: list[Condition] = []
    for part in condition.parts:
        if not isinstance(part, Match):
            rest.append(part)
            continue
        score = max((_likeness(part.value, value) for value in _values(part, event)), default=0)
        if part.field not in best or score > best[part.field][0]:
            best[part.field] = (score, part)
    return [*rest, *(part for _, part in best.values())]


def _likeness(wanted: str, value: str) -> int:
    matcher = difflib.SequenceMatcher(None, wanted.lower(), value.lower(), autojunk=False)
    return matcher.find_longest_match().size


def _values(match: Match, event: View) -> list[str]:
    if match.field == "":
        return list(event.plain.values())
    place = place_of(match.field)
    if place:
        value = argument(event.plain, place)
        return [] if value is None else [value]
    names = (match.field, FIELD_ALIASES.get(match.field, ""))
    return [event.plain[name] for name in names if name in event.plain]


def _sentence(match: Match, event: View, *, is_met: bool) -> str:
    found = " or ".join(map(_shown, _values(match, event))) or "nothing"
    wanted = f"{match.field or 'any field'} {match.operator} {_shown(match.value)}"
    return f"{wanted}: {found}" if is_met else f"expected {wanted}, got {found}"


def _shown(value: str) -> str:
    cut = value if len(value) <= _SHOWN_CHARS else value[:_SHOWN_CHARS] + "..."
    return repr(cut)
