"""Compiles Sigma filters into model.rule.Exclusion: what is known to be harmless, kept apart.

Rule 1: a filter's condition is joined to its rules' by "and" (filter specification), so what it
does not let through is what must not be reported: most filters say `condition: not selection`.
Rule 2: `device_class` is ours: a word or a list of them at the top, the kinds of device
(`[device] class`) that a filter is for; without it the filter is for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from vedette.cli._event_fields import fields_of_category
from vedette.cli._sigma_compiler import place_of_field
from vedette.cli._sigma_condition import Placeholders, compile_detection
from vedette.cli._sigma_correlation import Referred
from vedette.cli._sigma_document import Document
from vedette.cli._sigma_head import text
from vedette.cli._sigma_source import Part, served_by
from vedette.codec.bundle import MAX_CLASSES, MAX_REFERENCES, MAX_TEXT_BYTES
from vedette.codec.condition import MAX_NAME_BYTES
from vedette.core.partition import fields_of
from vedette.model.rule import Condition, Exclusion, Not

_EVERY = "any"  # filter specification, "Relevant rules"
_NOT_FOUND = "expected the name or id of a rule beside this filter"


class CompiledFilter(NamedTuple):
    """A filter: one exclusion for each category of events it speaks of."""

    exclusions: tuple[Exclusion, ...]
    document: Document
    warnings: tuple[str, ...]


def compile_filter(
    document: Document, known: Mapping[str, Referred], placeholders: Placeholders
) -> CompiledFilter:
    """Compile one filter.

    Args:
        document: with a mapping named filter.
        known: rules and correlations by name and by id.
        placeholders: what |expand puts in place of a name.

    Raises:
        RuleError: it cannot be run; the message begins with its place.
        DeviceError: pySigma is not installed.
    """
    filter_id = text(document, "id", MAX_NAME_BYTES)
    title = text(document, "title", MAX_TEXT_BYTES)
    condition = compile_detection(document, "filter", placeholders)
    rules = _rules(document, known)
    served = served_by(document, condition)
    exclusions = tuple(
        Exclusion(
            filter_id=filter_id,
            title=title,
            device_classes=_classes(document),
            rules=tuple(one.rule_id for one in rules),
            category=part.category,
            condition=_opposite(part.condition),
        )
        for part in served.parts
    )
    return CompiledFilter(exclusions, document, tuple(_warnings(document, rules, served.parts)))


def _rules(document: Document, known: Mapping[str, Referred]) -> list[Referred]:
    """The rules that a filter names; none for every rule of its log source."""
    at = ("filter", "rules")
    given = document.value["filter"].get("rules")
    if given == []:
        return []
    if isinstance(given, str):
        if given.lower() == _EVERY:
            return []
        given = [given]
    if not isinstance(given, list) or not 0 < len(given) <= MAX_REFERENCES:
        document.refuse(
            f"expected rules to be {_EVERY!r} or at most {MAX_REFERENCES} names or ids, "
            f"got {given!r}",
            at,
        )
    found: dict[str, Referred] = {}
    for name in given:
        one = known.get(str(name))
        if one is None:
            document.refuse(f"{_NOT_FOUND}, got {name!r}", at)
        if not one.rules:
            document.refuse(f"expected rules, got the correlation {name!r}: filter its rules", at)
        found[one.rule_id] = one
    return list(found.values())


def _classes(document: Document) -> tuple[str, ...]:
    given = document.value.get("device_class", [])
    classes = [given] if isinstance(given, str) else given
    is_list = isinstance(classes, list) and len(classes) <= MAX_CLASSES
    if not is_list or not all(_is_class(name) for name in classes):
        document.refuse(
            f"expected device_class to be a word or at most {MAX_CLASSES} of them, got {given!r}",
            "device_class",
        )
    return tuple(classes)


def _is_class(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name.encode("utf-8", "replace")) <= MAX_NAME_BYTES


def _opposite(condition: Condition) -> Condition:
    return condition.part if isinstance(condition, Not) else Not(condition)


def _warnings(
    document: Document, rules: Iterable[Referred], parts: Sequence[Part]
) -> Iterable[str]:
    categories = {part.category for part in parts}
    for one in rules:
        if not categories & {rule.category for rule in one.rules}:
            where = document.where(("filter", "rules"))
            yield f"{where}: {one.rules[0].title!r} has another log source: nothing is filtered"
    for part in parts:
        known = fields_of_category(part.category)
        for field in dict.fromkeys(fields_of(part.condition)):
            if field and known and field not in known:
                place = place_of_field(document, "filter", field)
                yield f"{place}: {part.category} events have no field {field}: it never matches"
