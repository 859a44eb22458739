"""Conditions as functions: what a rule asks, ready to be asked of a whole event.

Rule 1: meaning is Sigma 2's (model/rule.py); tests/simulators/linear_engine.py says the same the
slow way and must always agree.
Rule 2: a value is looked at up to SCAN_CHARS; of a longer one the head and the tail are, so that
padding in front does not hide what stands behind it.
Rule 3: a field that has an alias matches by either value (FIELD_ALIASES, here and nowhere else).
Rule 4: arguments by their place (core/arguments.py) are worked out when a condition gets to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias, assert_never

from vedette.core.arguments import argument, place_of
from vedette.core.comparison import FIELD_OPERATORS, TOGETHER, Test, compile_test
from vedette.core.cut import SCAN_CHARS, cut
from vedette.errors import RuleError
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not

FIELD_ALIASES: Mapping[str, str] = {"Image": "ImageAlias", "ParentImage": "ParentImageAlias"}
"""A multi-call program (BusyBox) is known by its applet's path too: a match on the left field is
true of either value, and so a Not only when it is true of neither."""

NO_TESTS: Mapping[Match, Test] = {}

_EFFORT = {"contains": 2, "glob": 4, "cidr": 4, "re": 6}
_KEYWORD_EFFORT = 3

Fields: TypeAlias = Mapping[str, str]


class _Folded(dict[str, str | None]):
    """Values in lower case, made when first asked for: most conditions ask for one or two."""

    __slots__ = ("_plain",)

    def __init__(self, plain: Fields) -> None:
        self._plain = plain

    def __missing__(self, field: str) -> str | None:
        value = self._plain.get(field)
        self[field] = folded = None if value is None else value.lower()
        return folded


class View(NamedTuple):
    """One event as conditions see it: its values as they came, cut, and in lower case by name."""

    folded: Mapping[str, str | None]
    plain: Fields


Check: TypeAlias = Callable[[View], bool]


def view(fields: Fields) -> View:
    """Prepare an event for checks; None stands for a field that it has not."""
    if max(map(len, fields.values()), default=0) > SCAN_CHARS:
        fields = {name: cut(value) for name, value in fields.items()}
    return short_view(fields)


def short_view(fields: Fields) -> View:
    """As `view`, for an event of which no looked-at value is longer than SCAN_CHARS."""
    return View(_Folded(fields), fields)


def compile_condition(condition: Condition, known: Mapping[Match, Test] = NO_TESTS) -> Check:
    """Make a function of a condition.

    Args:
        known: tests that are compiled already, for single comparisons with a pattern.

    Raises:
        RuleError: a value cannot be used (a pattern, network or number this device cannot read).
    """
    match condition:
        case Match():
            return _compile_matches([condition], known)
        case Not():
            check = compile_condition(condition.part, known)
            return lambda event: not check(event)
        case AllOf():
            parts = sorted(condition.parts, key=effort)
            return _every([compile_condition(part, known) for part in parts])
        case AnyOf():
            return _some(_alternatives(condition.parts, known))
        case _:
            assert_never(condition)


def effort(condition: Condition) -> int:
    """A rank for the order of evaluation: what is cheap comes first."""
    match condition:
        case Match():
            return _EFFORT.get(condition.operator, 1) + (0 if condition.field else _KEYWORD_EFFORT)
        case Not():
            return effort(condition.part) + 1
        case AllOf() | AnyOf():
            return 2 + max(map(effort, condition.parts), default=0)
        case _:
            assert_never(condition)


def _alternatives(parts: tuple[Condition, ...], known: Mapping[Match, Test]) -> list[Check]:
    """Alternatives that ask the same of the same field are asked together."""
    groups: dict[tuple[str, str, bool], list[Match]] = {}
    rest: list[Condition] = []
    for part in parts:
        if isinstance(part, Match) and part.operator in TOGETHER:
            groups.setdefault((part.field, part.operator, part.is_cased), []).append(part)
        else:
            rest.append(part)
    checks = [_compile_matches(group, known) for group in groups.values()]
    return checks + [compile_condition(part, known) for part in sorted(rest, key=effort)]


def _every(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def every(event: View) -> bool:
        for check in checks:  # noqa: SIM110 (a generator costs more than the checks)
            if not check(event):
                return False
        return True

    return every


def _some(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def some(event: View) -> bool:
        for check in checks:  # noqa: SIM110 (a generator costs more than the checks)
            if check(event):
                return True
        return False

    return some


def _compile_matches(matches: list[Match], known: Mapping[Match, Test]) -> Check:
    first = matches[0]
    if first.operator in ("exists", "null"):
        return _presence(first)
    if first.operator in FIELD_OPERATORS:
        return _reference(first)
    test = known.get(first) or compile_test(matches)
    # A pattern says by its own flags whether case matters: it is asked of the value as it came.
    is_plain = first.is_cased or first.operator == "re"
    if first.field == "":
        return _anywhere(test, is_plain=is_plain)
    place = place_of(first.field)
    if place:
        return _argument(place, test, is_plain=is_plain)
    alias = FIELD_ALIASES.get(first.field)
    if alias is not None:
        return _either(first.field, alias, test, is_plain=is_plain)
    return _one(first.field, test, is_plain=is_plain)


def _presence(match: Match) -> Check:
    if match.field == "" or (match.operator == "exists" and match.value not in ("true", "false")):
        raise RuleError(f"expected {match.operator} with a field and true or false, got {match}")
    field = match.field
    place = place_of(field)
    is_wanted = match.operator == "exists" and match.value == "true"
    if place:
        return lambda event: bool(argument(event.plain, place)) is is_wanted
    if is_wanted:
        return lambda event: bool(event.plain.get(field))
    return lambda event: not event.plain.get(field)


def _reference(match: Match) -> Check:
    """Another field of the same event is what this one is compared with."""
    if not match.field or not match.value or place_of(match.field) or place_of(match.value):
        raise RuleError(f"expected {match.operator} between two fields of events, got {match}")
    own, other = _names(match.field), _names(match.value)
    compare = FIELD_OPERATORS[match.operator]
    is_cased = match.is_cased

    def reference(event: View) -> bool:
        get = event.plain.get if is_cased else event.folded.__getitem__
        return any(
            compare(left, right)
            for left in map(get, own)
            if left is not None
            for right in map(get, other)
            if right
        )

    return reference


def _names(field: str) -> tuple[str, ...]:
    alias = FIELD_ALIASES.get(field)
    return (field,) if alias is None else (field, alias)


def _argument(place: int, test: Test, *, is_plain: bool) -> Check:
    def check(event: View) -> bool:
        value = argument(event.plain, place)
        return value is not None and test(value if is_plain else value.lower())

    return check


def _one(field: str, test: Test, *, is_plain: bool) -> Check:
    if is_plain:

        def one_plain(event: View) -> bool:
            value = event.plain.get(field)
            return value is not None and test(value)

        return one_plain

    def one(event: View) -> bool:
        value = event.folded[field]
        return value is not None and test(value)

    return one


def _either(field: str, alias: str, test: Test, *, is_plain: bool) -> Check:
    own, other = _one(field, test, is_plain=is_plain), _one(alias, test, is_plain=is_plain)
    return lambda event: own(event) or other(event)


def _anywhere(test: Test, *, is_plain: bool) -> Check:
    if is_plain:
        return lambda event: any(map(test, event.plain.values()))
    return lambda event: any(test(value.lower()) for value in event.plain.values())
