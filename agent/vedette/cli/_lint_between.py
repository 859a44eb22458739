"""What only shows when rules are laid side by side: twins, and rules in the shadow of others.

Rule 1: that a rule is shadowed is proven, so a warning is never wrong; a shadow that cannot be
proven is not told. Filters (exclusions) are not looked at.
Rule 2: no loop over pairs: an event that meets the one rule is made and given to the engine; only
rules that it meets too can match all that the first one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vedette.cli._diagnostic import Diagnostic
from vedette.cli._lint_codes import diagnose
from vedette.cli._lint_metadata import text_of
from vedette.cli._refutation import Budget, implies_all, normal
from vedette.cli._sigma_document import Document
from vedette.cli._witness import witness
from vedette.core.engine import SERVICE_PREFIX, Engine
from vedette.errors import RuleError
from vedette.model.rule import AllOf, AnyOf, Bundle, Condition, Rule

MAX_CANDIDATES = 64
"""Ours: rules that one event may meet; more are not compared."""

_STEPS = 20_000


class Linted(NamedTuple):
    """A rule that compiles and the document it came from."""

    document: Document
    rule: Rule


def check_between(rules: Sequence[Linted]) -> Iterator[Diagnostic]:
    """Twins and shadows among rules."""
    twins = _Twins(rules)
    yield from twins.check()
    yield from _check_shadows(rules, twins)


def check_names(documents: Sequence[Document]) -> Iterator[Diagnostic]:
    """Ids and titles that are used twice, of rules, correlations and filters alike."""
    for code, name in (("VR203", "id"), ("VR204", "title")):
        first: dict[str, Document] = {}
        for document in documents:
            text = " ".join(text_of(document.value, name).split()).lower()
            other = first.setdefault(text, document) if text else document
            if other is not document:
                message = f"expected a {name} of its own, got that of {_where(other, name)}"
                yield diagnose(code, document.file, document.place(name), message)


class _Twins:
    """Rules of one category with the same condition, whatever the order of its parts."""

    def __init__(self, rules: Sequence[Linted]) -> None:
        self._rules = rules
        self._first: dict[tuple[str, Condition], Linted] = {}
        self.ids: set[int] = set()

    def check(self) -> Iterator[Diagnostic]:
        for linted in self._rules:
            key = (linted.rule.category, _sorted(normal(linted.rule.condition)))
            other = self._first.setdefault(key, linted)
            if other.document is not linted.document:
                self.ids.add(id(linted))
                message = f"the condition is that of {_where(other.document, 'title')}"
                place = linted.document.place("detection")
                yield diagnose("VR202", linted.document.file, place, message)


def _check_shadows(rules: Sequence[Linted], twins: _Twins) -> Iterator[Diagnostic]:
    numbered = [
        Rule(
            str(number), linted.rule.title, "", linted.rule.severity, (), linted.rule.category,
            linted.rule.condition, (),
        )
        for number, linted in enumerate(rules)
    ]  # fmt: skip
    engine = Engine(Bundle("lint", 0, 0, 0, tuple(numbered), (), ""), memo=0)
    for linted in rules:
        if id(linted) in twins.ids:
            continue
        for other in _met_too(engine, rules, linted):
            if id(other) in twins.ids or other.document is linted.document:
                continue
            if other.rule.severity < linted.rule.severity:
                continue
            if implies_all(linted.rule.condition, other.rule.condition, Budget(_STEPS)):
                level = other.rule.severity.name.lower()
                message = (
                    f'"{other.rule.title}" ({_where(other.document, "title")}, {level}) matches '
                    "all that this rule does"
                )
                place = linted.document.place("detection")
                yield diagnose("VR201", linted.document.file, place, message)
                break


def _met_too(engine: Engine, rules: Sequence[Linted], linted: Linted) -> list[Linted]:
    """The reported rules that an event met which was made for another one."""
    try:
        fields = witness(linted.rule.condition)
    except RuleError:
        fields = None
    if fields is None:
        return []
    category = linted.rule.category
    found = [rules[int(rule.rule_id)] for rule in engine.match(category, fields)]
    others = [other for other in found if other is not linted and other.rule.is_reported]
    if category == SERVICE_PREFIX:  # asked of every service, so only its like can shadow it
        others = [other for other in others if other.rule.category == category]
    return others[:MAX_CANDIDATES]


def _sorted(condition: Condition) -> Condition:
    match condition:
        case AllOf() | AnyOf():
            kind = type(condition)
            return kind(tuple(sorted(dict.fromkeys(map(_sorted, condition.parts)), key=repr)))
        case _:
            return condition


def _where(document: Document, name: str) -> str:
    line, column = document.place(name)
    return f"{document.file}:{line}:{column}"
