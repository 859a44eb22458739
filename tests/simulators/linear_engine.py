"""Sigma's meaning the slow way, every rule and clause each time: what the engine must equal."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import assert_never

from vedette.core.comparison import number
from vedette.core.condition import FIELD_ALIASES
from vedette.core.cut import HEAD_CHARS, SCAN_CHARS, cut
from vedette.model.rule import AllOf, AnyOf, Bundle, Condition, Match, Not, Rule


class LinearEngine:
    """Takes the same bundle as core.engine.Engine and gives the same rules."""

    def __init__(self, bundle: Bundle, device_class: str = "") -> None:
        self._rules = bundle.rules
        self._exclusions = [
            exclusion
            for exclusion in bundle.exclusions
            if not exclusion.device_classes or device_class in exclusion.device_classes
        ]

    def match(self, category: str, fields: Mapping[str, str]) -> tuple[Rule, ...]:
        return tuple(
            rule
            for rule in self._rules
            if _is_of(rule.category, category)
            and is_met(rule.condition, fields)
            and not self._is_excluded(rule, fields)
        )

    def _is_excluded(self, rule: Rule, fields: Mapping[str, str]) -> bool:
        return any(
            is_met(exclusion.condition, fields)
            for exclusion in self._exclusions
            if rule.rule_id in exclusion.rules
            or (not exclusion.rules and exclusion.category == rule.category)
        )


def is_met(condition: Condition, fields: Mapping[str, str]) -> bool:
    match condition:
        case Match():
            return _is_matched(condition, fields)
        case Not():
            return not is_met(condition.part, fields)
        case AllOf():
            return all(is_met(part, fields) for part in condition.parts)
        case AnyOf():
            return any(is_met(part, fields) for part in condition.parts)
        case _:
            assert_never(condition)


def _is_of(rule_category: str, category: str) -> bool:
    if rule_category == "service:":
        return category.startswith("service:")
    return rule_category == category


def _is_matched(match: Match, fields: Mapping[str, str]) -> bool:
    is_empty = fields.get(match.field, "") == ""
    if match.operator == "null":
        return is_empty
    if match.operator == "exists":
        return is_empty == (match.value == "false")
    if match.operator.endswith("_field"):
        return any(
            _is_alike(match, cut(left), cut(right))
            for left in _values(match.field, fields)
            for right in _values(match.value, fields)
        )
    return any(_is_value_matched(match, cut(value)) for value in _values(match.field, fields))


def _values(field: str, fields: Mapping[str, str]) -> Iterator[str]:
    if field == "":
        yield from fields.values()
    if re.fullmatch(r"a[1-9][0-9]?", field):
        yield from _arguments(fields)[int(field[1:]) :][:1]
        return
    for name in (field, FIELD_ALIASES.get(field, "")):
        if name and name in fields:
            yield fields[name]


def _arguments(fields: Mapping[str, str]) -> list[str]:
    """All arguments that are wholly within what is looked at."""
    text, separator = fields.get("CommandLine", ""), " "
    if fields.get("Arguments"):
        text, separator = fields["Arguments"], "\0"
    if len(text) <= SCAN_CHARS:
        return text.split(separator)
    return text[:HEAD_CHARS].split(separator)[:-1]


def _is_alike(match: Match, left: str, right: str) -> bool:
    if not match.is_cased:
        left, right = left.lower(), right.lower()
    place = left.find(right) if right else -1
    match match.operator:
        case "equals_field":
            return place == 0 and left == right
        case "startswith_field":
            return place == 0
        case "endswith_field":
            return place >= 0 and left[len(left) - len(right) :] == right
        case _:
            return place >= 0


def _is_value_matched(match: Match, raw: str) -> bool:  # noqa: C901 - a case for each operator
    value = raw if match.is_cased else raw.lower()
    wanted = match.value
    match match.operator:
        case "equals":
            return value == wanted
        case "contains":
            return wanted in value
        case "startswith":
            return value.startswith(wanted)
        case "endswith":
            return value.endswith(wanted)
        case "glob":
            return _is_glob(wanted, value)
        case "re":
            return re.search(wanted, raw, re.ASCII) is not None
        case "cidr":
            return _is_inside(wanted, value)
        case "lt" | "lte" | "gt" | "gte":
            return _is_ordered(match.operator, number(value), number(wanted))
        case "equals_field" | "contains_field" | "startswith_field" | "endswith_field":
            raise AssertionError
        case "exists" | "null":
            raise AssertionError
        case _:
            assert_never(match.operator)


def _is_glob(glob: str, value: str) -> bool:
    """By dynamic programming over places in the value, unlike the engine's patterns."""
    places = {0}
    index = 0
    while index < len(glob):
        char = glob[index]
        if char == "*":
            places = set(range(min(places), len(value) + 1)) if places else set()
        elif char == "?":
            places = {place + 1 for place in places if place < len(value)}
        else:
            if char == "\\" and glob[index + 1 : index + 2] in {"*", "?", "\\"}:
                index += 1
                char = glob[index]
            places = {place + 1 for place in places if value[place : place + 1] == char}
        index += 1
    return len(value) in places


def _is_inside(network: str, value: str) -> bool:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    wanted = ipaddress.ip_network(network, strict=False)
    mapped = getattr(address, "ipv4_mapped", None)
    return address in wanted or (mapped is not None and mapped in wanted)


def _is_ordered(operator: str, found: float | None, wanted: float | None) -> bool:
    if found is None or wanted is None:
        return False
    return {
        "lt": found < wanted,
        "lte": found <= wanted,
        "gt": found > wanted,
        "gte": found >= wanted,
    }[operator]
