"""Compiles Sigma correlation rules (specification 2.1) into model.rule.Correlation.

Rule 1: rules are named by `name` or `id`; a correlation may name correlations, which are compiled
before it. What goes in circles, or names nothing, is refused.
Rule 2: of the specification's kinds those are run that a device can keep in bounded memory:
event_count, value_count, temporal and temporal_ordered; any other is refused by name.
Rule 3: a rule that correlations name is reported on its own where one of them says `generate: true`
(Sigma's default is false); one that no correlation names always is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from vedette.cli._event_fields import fields_of_category
from vedette.cli._sigma_document import Document
from vedette.cli._sigma_head import head
from vedette.cli._sigma_source import field_in
from vedette.codec.bundle import (
    MAX_ALIASES,
    MAX_COUNT,
    MAX_GROUP_FIELDS,
    MAX_REFERENCES,
    MAX_TIMESPAN_S,
)
from vedette.codec.condition import MAX_NAME_BYTES
from vedette.model.rule import (
    Alias,
    Correlation,
    CorrelationKind,
    Rule,
    Threshold,
    ThresholdOperator,
)

_KINDS: dict[str, CorrelationKind] = {kind: kind for kind in get_args(CorrelationKind)}
_OPERATORS: dict[str, ThresholdOperator] = {name: name for name in get_args(ThresholdOperator)}
_KEYS = frozenset(
    ("type", "rules", "group-by", "timespan", "condition", "aliases", "generate")
)  # specification 2.1, "Correlation section"
_TIMESPAN = re.compile(r"([0-9]{1,9})([smhdwMy])")
_UNIT_S = {
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86_400,
    "w": 604_800,
    "M": 2_629_746,
    "y": 31_556_952,
}  # specification 2.1, "Time span"; a month and a year are Gregorian means


class Referred(NamedTuple):
    """What a correlation may name: a rule with its parts, or a correlation, which has none."""

    rule_id: str
    rules: tuple[Rule, ...]


class CompiledCorrelation(NamedTuple):
    """A correlation, its document, what its author should know, and whether its rules are told."""

    correlation: Correlation
    document: Document
    warnings: tuple[str, ...]
    generates: bool


def references(document: Document) -> tuple[str, ...]:
    """The names and ids that a correlation is about, in order.

    Raises:
        RuleError: there are none, too many, or one stands there twice.
    """
    at = ("correlation", "rules")
    given = _section(document).get("rules")
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        document.refuse(f"expected rules to be a name or id or a list of them, got {given!r}", at)
    if not 0 < len(names) <= MAX_REFERENCES:
        document.refuse(f"expected 1 to {MAX_REFERENCES} rules, got {len(names)}", at)
    return tuple(names)


def compile_correlation(document: Document, known: Mapping[str, Referred]) -> CompiledCorrelation:
    """Compile one correlation.

    Args:
        document: with a mapping named correlation.
        known: rules and correlations by name and by id.

    Raises:
        RuleError: it cannot be run; the message begins with its place.
    """
    section = _section(document)
    for key in section:
        if key not in _KEYS:
            document.refuse(
                f"expected one of {', '.join(sorted(_KEYS))} in a correlation, got {key!r}",
                ("correlation", str(key)),
            )
    who = head(document)
    about = _about(document, known)
    kind = _kind(document, section.get("type"))
    aliases = _aliases(document, section.get("aliases"), _by_reference(document, known))
    value_fields, thresholds = _condition(document, section.get("condition"), kind, len(about))
    group_by = _group_by(document, section.get("group-by"))
    aliases += _own_names((*group_by, *value_fields), aliases, about)
    correlation = Correlation(
        rule_id=who.rule_id,
        title=who.title,
        author=who.author,
        severity=who.severity,
        tags=who.tags,
        kind=kind,
        rules=tuple(one.rule_id for one in about),
        group_by=group_by,
        timespan_s=_timespan(document, section.get("timespan")),
        thresholds=thresholds,
        value_fields=value_fields,
        aliases=aliases[:MAX_ALIASES],
    )
    warnings = tuple(_warnings(document, correlation, about))
    return CompiledCorrelation(correlation, document, warnings, _generates(document, section))


def _section(document: Document) -> Mapping[str, Any]:
    section = document.value.get("correlation")
    if not isinstance(section, dict):
        document.refuse("expected a mapping named correlation", "correlation")
    return section


def _about(document: Document, known: Mapping[str, Referred]) -> list[Referred]:
    at = ("correlation", "rules")
    about: dict[str, Referred] = {}
    for name in references(document):
        one = known.get(name)
        if one is None:
            document.refuse(f"expected the name or id of a rule beside this one, got {name!r}", at)
        if one.rule_id in about:
            document.refuse(f"expected rules to differ, got {name!r} twice", at)
        about[one.rule_id] = one
    return list(about.values())


def _kind(document: Document, given: object) -> CorrelationKind:
    kind = _KINDS.get(given) if isinstance(given, str) else None
    if kind is None:
        document.refuse(
            f"expected type to be one of {', '.join(_KINDS)}; got {given!r}, which this version "
            "cannot run",
            ("correlation", "type"),
        )
    return kind


def _timespan(document: Document, given: object) -> int:
    at = ("correlation", "timespan")
    parsed = _TIMESPAN.fullmatch(given) if isinstance(given, str) else None
    if parsed is None:
        document.refuse(
            "expected timespan to be a number and one of s, m, h, d, w, M, y, such as 5m; "
            f"got {given!r}",
            at,
        )
    seconds = int(parsed[1]) * _UNIT_S[parsed[2]]
    if not 0 < seconds <= MAX_TIMESPAN_S:
        days = MAX_TIMESPAN_S // _UNIT_S["d"]
        document.refuse(f"expected a timespan of 1s to {days}d, got {given!r}", at)
    return seconds


def _group_by(document: Document, given: object) -> tuple[str, ...]:
    return _names(document, given, ("correlation", "group-by"))


def _names(document: Document, given: object, at: tuple[str, ...]) -> tuple[str, ...]:
    names = [] if given is None else [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        document.refuse(f"expected names of fields, got {given!r}", at)
    if len(names) > MAX_GROUP_FIELDS or any(
        len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES for name in names
    ):
        document.refuse(
            f"expected at most {MAX_GROUP_FIELDS} names of at most {MAX_NAME_BYTES} bytes", at
        )
    return tuple(dict.fromkeys(names))


def _condition(
    document: Document, given: object, kind: CorrelationKind, count: int
) -> tuple[tuple[str, ...], tuple[Threshold, ...]]:
    """The counted fields and the thresholds; a temporal one without wants every rule."""
    at = ("correlation", "condition")
    if given is None and kind in ("temporal", "temporal_ordered"):
        return (), (Threshold("gte", count),)
    if isinstance(given, str):
        document.refuse("expected thresholds: conditions that name rules cannot be run", at)
    if not isinstance(given, dict):
        document.refuse(f"expected a condition such as {{gte: 5}}, got {given!r}", at)
    fields = _names(document, given.get("field"), (*at, "field"))
    if (kind == "value_count") != bool(fields):
        wanted = "a field to count" if kind == "value_count" else f"no field in {kind}"
        document.refuse(f"expected {wanted}", (*at, "field") if fields else at)
    thresholds = [
        _threshold(document, name, limit) for name, limit in given.items() if name != "field"
    ]
    if not thresholds:
        document.refuse(f"expected one of {', '.join(_OPERATORS)} in the condition", at)
    return fields, tuple(thresholds)


def _threshold(document: Document, name: str, limit: object) -> Threshold:
    at = ("correlation", "condition", str(name))
    operator = _OPERATORS.get(name)
    if operator is None:
        document.refuse(f"expected one of {', '.join(_OPERATORS)}, got {name!r}", at)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= MAX_COUNT:
        document.refuse(f"expected a whole number from 0 to {MAX_COUNT}, got {limit!r}", at)
    return Threshold(operator, limit)


def _by_reference(document: Document, known: Mapping[str, Referred]) -> Mapping[str, Referred]:
    """The correlation's own rules, by name and by id."""
    mine = {known[name].rule_id for name in references(document)}
    return {name: one for name, one in known.items() if one.rule_id in mine}


def _aliases(document: Document, given: object, known: Mapping[str, Referred]) -> tuple[Alias, ...]:
    at = ("correlation", "aliases")
    if given is None:
        return ()
    if not isinstance(given, dict):
        document.refuse("expected aliases to be a mapping of names", at)
    aliases: list[Alias] = []
    for name, fields in given.items():
        if not isinstance(fields, dict):
            document.refuse("expected a mapping of rules to fields", (*at, str(name)))
        for reference, field in fields.items():
            aliases.append(_alias(document, str(name), str(reference), field, known))
    if len(aliases) > MAX_ALIASES:
        document.refuse(f"expected at most {MAX_ALIASES} aliases, got {len(aliases)}", at)
    return tuple(aliases)


def _alias(
    document: Document,
    name: str,
    reference: str,
    field: object,
    known: Mapping[str, Referred],
) -> Alias:
    at = ("correlation", "aliases", name, reference)
    one = known.get(reference)
    if one is None:
        document.refuse(f"expected one of the correlation's rules, got {reference!r}", at)
    if not isinstance(field, str) or not field:
        document.refuse(f"expected the name of a field, got {field!r}", at)
    return Alias(name, one.rule_id, _field_of(one, field))


def _field_of(one: Referred, field: str) -> str:
    """What the events of a rule call a field of its log source."""
    for rule in one.rules:
        ours = field_in(rule.category, field)
        if ours in fields_of_category(rule.category):
            return ours
    return field


def _own_names(
    fields: Iterable[str], given: Sequence[Alias], about: Sequence[Referred]
) -> tuple[Alias, ...]:
    """Aliases for fields that a log source calls otherwise than our events do."""
    taken = {(alias.name, alias.rule_id) for alias in given}
    return tuple(
        Alias(field, one.rule_id, ours)
        for field in dict.fromkeys(fields)
        for one in about
        if (field, one.rule_id) not in taken and (ours := _field_of(one, field)) != field
    )


def _generates(document: Document, section: Mapping[str, Any]) -> bool:
    given = section.get("generate", False)
    if not isinstance(given, bool):
        document.refuse(f"expected true or false, got {given!r}", ("correlation", "generate"))
    return given


def _warnings(
    document: Document, correlation: Correlation, about: Iterable[Referred]
) -> Iterable[str]:
    names = {(alias.name, alias.rule_id): alias.field for alias in correlation.aliases}
    wanted = {
        "group-by": correlation.group_by,
        "condition": correlation.value_fields,
    }
    for one in about:
        for place, fields in wanted.items():
            for field in fields:
                ours = names.get((field, one.rule_id), field)
                if one.rules and not any(
                    ours in fields_of_category(rule.category) for rule in one.rules
                ):
                    where = document.where(("correlation", place))
                    title = one.rules[0].title
                    yield f"{where}: events of {title!r} have no field {ours}: they never count"
