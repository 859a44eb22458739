"""Makes an event that meets a condition: a proof that there is one, and a first sample.

Rule 1: what is returned was tried: the condition, as the engine compiles it, is met.
Rule 2: not every condition that can be met is solved; None proves nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from vedette.cli._clause_logic import is_absence, is_presence
from vedette.cli._field_domains import DOMAINS
from vedette.cli._pattern_sample import parse, sample
from vedette.cli._refutation import normal
from vedette.core.arguments import place_of
from vedette.core.comparison import glob_parts, number
from vedette.core.condition import compile_condition, view
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not

MAX_TRIES = 24
"""Ours: choices among alternatives that are tried, the first ones first."""

MAX_VALUE_CHARS = 2048
_KEYWORD_FIELD = "Message"
_WHOLE = frozenset(("equals", "cidr", "lt", "lte", "gt", "gte"))
_ORDER_STEP = {"lt": -1, "lte": 0, "gt": 1, "gte": 0}


def witness(condition: Condition) -> dict[str, str] | None:
    """Fields of an event that meets a condition, or None when none was found.

    Raises:
        RuleError: the condition cannot be compiled.
    """
    check = compile_condition(condition)
    wanted = normal(condition)
    for attempt in range(MAX_TRIES):
        chosen = list(_choose(wanted, attempt))
        for joint in (" ", ""):
            fields = _fields(chosen, joint)
            if fields is None:
                continue
            fields = _with_arguments(fields)
            if check(view(fields)):
                return fields
    return None


def _choose(condition: Condition, attempt: int) -> Iterator[Match]:
    """The comparisons to be met when alternatives are taken in turn."""
    match condition:
        case Match():
            yield condition
        case AllOf():
            for part in condition.parts:
                yield from _choose(part, attempt)
        case AnyOf() if condition.parts:
            count = len(condition.parts)
            yield from _choose(condition.parts[attempt % count], attempt // count or attempt)
        case AnyOf() | Not():
            return


def _fields(chosen: Sequence[Match], joint: str) -> dict[str, str] | None:
    groups: dict[str, list[Match]] = {}
    for match in chosen:
        groups.setdefault(match.field or _KEYWORD_FIELD, []).append(match)
    fields: dict[str, str] = {}
    for field, matches in groups.items():
        if all(map(is_absence, matches)):
            continue
        value = _value(field, matches, joint)
        if value is None or len(value) > MAX_VALUE_CHARS:
            return None
        fields[field] = value
    return fields


def _with_arguments(fields: dict[str, str]) -> dict[str, str]:
    """Arguments by their place are no fields of events: they are worked out from all of them."""
    places = {place_of(name): name for name in fields if place_of(name)}
    if not places:
        return fields
    arguments = [fields.get(places.get(place, ""), "x") for place in range(1, max(places) + 1)]
    words = [fields.get("Argv0", "x"), *arguments]
    kept = {name: value for name, value in fields.items() if not place_of(name)}
    return {"CommandLine": " ".join(words), **kept, "Arguments": "\0".join(words)}


def _value(field: str, matches: Sequence[Match], joint: str) -> str | None:
    head, tail, middle = "", "", []
    for match in matches:
        if match.operator in _WHOLE:
            return _whole(match)
        if match.operator == "startswith":
            head = max(head, match.value, key=len)
        elif match.operator == "endswith":
            tail = max(tail, match.value, key=len)
        else:
            part = _part(match)
            if part is None:
                return None
            middle.append(part)
    return _joined(field, head, middle, tail, joint)


def _whole(match: Match) -> str | None:
    """The value of a comparison that says all about it."""
    match match.operator:
        case "equals":
            return match.value
        case "cidr":
            return _of_network(match.value)
        case _:
            return _of_order(match)


def _part(match: Match) -> str | None:
    match match.operator:
        case "contains":
            return match.value
        case "glob":
            return _of_glob(match.value)
        case "re":
            return _of_pattern(match.value)
        case _:
            return "" if is_presence(match) else None


def _joined(field: str, head: str, middle: Sequence[str], tail: str, joint: str) -> str:
    domain = DOMAINS.get(field)
    texts = [text for text in middle if text and text not in head and text not in tail]
    value = joint.join(part for part in (head, *texts, tail) if part)
    if not value:
        return domain.words[0] if domain is not None and domain.words else "1"
    is_bare_path = (domain is not None and domain.kind == "path") or field.endswith("Image")
    if is_bare_path and not head and not value.startswith("/"):
        return f"/{value}"
    return f"/usr/bin{value}" if is_bare_path and not head and not texts else value


def _of_glob(glob: str) -> str:
    return "".join("x" if part == "?" else "" if part == "*" else part for part in glob_parts(glob))


def _of_network(text: str) -> str | None:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return str(network[1] if network.num_addresses > 1 else network[0])


def _of_order(match: Match) -> str | None:
    limit = number(match.value)
    return None if limit is None else str(limit + _ORDER_STEP[match.operator])


def _of_pattern(text: str) -> str:
    try:
        return sample(parse(text))
    except ValueError:
        return ""
