"""Compiles Sigma 2 rules into model.rule: pySigma parses, this file decides what a device can run.

Rule 1: operator side only; the device reads bundles and never imports this.
Rule 2: what the engine cannot do exactly as Sigma says is a RuleError with file, line and column,
never an approximation.
Rule 3: what can never match on today's events (a field no sensor gives) is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vedette.cli._event_fields import fields_of_category, shown_fields
from vedette.cli._sigma_auditd import Missing
from vedette.cli._sigma_condition import Placeholders, compile_detection, sigma
from vedette.cli._sigma_document import Document
from vedette.cli._sigma_head import head
from vedette.cli._sigma_source import served_by
from vedette.codec.bundle import MAX_FIELDS
from vedette.core.partition import fields_of
from vedette.core.triggers import trigger
from vedette.model.rule import Condition, Rule

NO_PLACEHOLDERS: Placeholders = {}
_OTHER_KINDS = ("correlation", "filter", "action")
_FAULTS = (TypeError, ValueError, AttributeError, KeyError, IndexError, RecursionError)


class Compiled(NamedTuple):
    """A rule, the document it came from, and what its author should know.

    Attributes:
        rule: what it asks of the first category of events that serves it.
        others: the same of further categories, under the same id: auditd's records are spread over
            several of ours.
        missing: what the rule asks for and no sensor sees, in words.
    """

    rule: Rule
    document: Document
    warnings: tuple[str, ...]
    others: tuple[Rule, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All that goes into a bundle."""
        return (self.rule, *self.others)


def compile_rule(document: Document, placeholders: Placeholders = NO_PLACEHOLDERS) -> Compiled:
    """Compile one Sigma document.

    Args:
        placeholders: what |expand puts in place of a name.

    Raises:
        RuleError: it is no rule that this version can run; the message begins with its place.
        DeviceError: pySigma is not installed.
    """
    _check_kind(document)
    who = head(document)
    condition = compile_detection(document, "detection", placeholders)
    _check_whole(document)
    served = served_by(document, condition)
    wanted = _wanted_fields(document)
    rules = tuple(
        Rule(
            rule_id=who.rule_id,
            title=who.title,
            author=who.author,
            severity=who.severity,
            tags=who.tags,
            category=part.category,
            condition=part.condition,
            fields=_fields(wanted, part.category, part.condition),
        )
        for part in served.parts
    )
    warnings = (*_source_warnings(document, served.missing), *_warnings(document, rules))
    missing = tuple(one.words for one in served.missing)
    return Compiled(rules[0], document, warnings, rules[1:], missing)


def _check_kind(document: Document) -> None:
    for kind in _OTHER_KINDS:
        if kind in document.value:
            document.refuse(f"expected a detection, got a {kind}", kind)
    if not isinstance(document.value.get("detection"), dict):
        document.refuse("expected a mapping named detection", "detection")


def _check_whole(document: Document) -> None:
    """What pySigma says of the rest: status, dates, related rules."""
    package = sigma()
    try:
        value = {name: item for name, item in document.value.items() if name != "detection"}
        package.rule.SigmaRule.from_dict(value | {"detection": {"s": ["x"], "condition": "s"}})
    except package.exceptions.SigmaError as error:
        document.refuse(f"expected a Sigma rule: {error}", _named_in(str(error), document.value))
    except _FAULTS as error:
        document.refuse(f"expected a Sigma rule: {error}")


def _named_in(message: str, names: Mapping[str, object]) -> str:
    """The key at the top that a message speaks of, "" when it names none."""
    words = message.lower().split()
    return next((name for name in names if name.lower() in words), "")


def _wanted_fields(document: Document) -> tuple[str, ...]:
    fields = document.value.get("fields") or []
    if not isinstance(fields, list):
        document.refuse("expected fields to be a list", "fields")
    return tuple(map(str, fields))


def _fields(wanted: Iterable[str], category: str, condition: Condition) -> tuple[str, ...]:
    own = (field for field in fields_of(condition) if field)
    return tuple(dict.fromkeys([*wanted, *own, *shown_fields(category)]))[:MAX_FIELDS]


def _source_warnings(document: Document, missing: Iterable[Missing]) -> Iterable[str]:
    for one in missing:
        place = _place_of_missing(document, one)
        yield f"{place}: no sensor sees {one.words}: that part never matches"


def _place_of_missing(document: Document, missing: Missing) -> str:
    for key in document.keys:
        if key.path[0] == "detection" and key.path[-1].split("|")[0] == missing.field:
            for text, (line, column) in zip(key.texts, key.places, strict=True):
                if text.lower() == missing.value:
                    return f"{document.file}:{line}:{column}"
    return document.where("logsource")


def _warnings(document: Document, rules: Iterable[Rule]) -> Iterable[str]:
    for rule in rules:
        known = fields_of_category(rule.category)
        for field in dict.fromkeys(fields_of(rule.condition)):
            if field and known and field not in known:
                place = place_of_field(document, "detection", field)
                yield f"{place}: {rule.category} events have no field {field}: it never matches"
        if trigger(rule.condition) is None:
            place = document.where(("detection", "condition"))
            yield f"{place}: requires no text, so it is asked of every event: add a clause"


def place_of_field(document: Document, section: str, field: str) -> str:
    """file:line:column of the first comparison of a field, for a warning."""
    for key in document.keys:
        if key.path[0] == section and key.path[-1].split("|")[0] == field:
            return f"{document.file}:{key.line}:{key.column}"
    return document.where(section)
