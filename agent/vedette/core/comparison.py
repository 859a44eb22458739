"""Comparisons as functions: one operator and its alternatives, ready to be asked of one value.

Rule 1: a value that cannot be read as the operator needs it (no number, no address) is no match.
Rule 2: every test takes time linear in the value, except `re`, whose patterns the compiler has
limited to what RE2 accepts and linted against nested quantifiers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from vedette.errors import RuleError
from vedette.model.rule import Match

Test: TypeAlias = Callable[[str], bool]
"""Asks one value, already folded where case does not matter."""

TOGETHER = frozenset(("equals", "contains", "startswith", "endswith"))
"""Operators whose alternatives are asked in one go."""

FIELD_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "equals_field": str.__eq__,
    "contains_field": str.__contains__,
    "startswith_field": str.startswith,
    "endswith_field": str.endswith,
}
"""Operators that compare a value with that of another field of the same event."""

PATTERNS = frozenset(("re", "glob"))
"""Operators whose tests are compiled by `re`, in a millisecond or two each."""

_MAX_NUMBER_CHARS = 40
"""Ours: 64-bit numbers have 20 digits; int() of a long text takes quadratic time."""


def compile_test(matches: Sequence[Match]) -> Test:
    """Make a function that is true when one of the matches is.

    Args:
        matches: of one operator; more than one only for those in TOGETHER.

    Raises:
        RuleError: the operator's value cannot be used.
    """
    operator = matches[0].operator
    if operator in TOGETHER:
        return _text_test(operator, tuple(match.value for match in matches))
    value = matches[0].value
    match operator:
        case "glob":
            return _pattern_test(glob_pattern(value), re.DOTALL, "")
        case "re":
            return _pattern_test(value, 0, matches[0].gate)
        case "cidr":
            return _network_test(value)
        case "lt" | "lte" | "gt" | "gte":
            return _order_test(operator, value)
        case _:
            raise RuleError(f"expected an operator that asks a value, got {operator!r}")


def glob_parts(glob: str) -> list[str]:
    r"""Split a glob into literals and the wildcards "*" and "?" between them.

    A literal that is "*" or "?" itself is given with its escape ("\*"), other escapes are undone:
    a backslash before anything else stands for itself (Sigma specification, "Wildcards").
    """
    parts: list[str] = [""]
    position = 0
    while position < len(glob):
        char = glob[position]
        if char == "\\" and glob[position + 1 : position + 2] in ("*", "?", "\\"):
            parts[-1] += glob[position + 1]
            position += 1
        elif char in "*?":
            parts += [char, ""]
        else:
            parts[-1] += char
        position += 1
    return parts


def glob_literals(glob: str) -> list[str]:
    """The texts that must occur, in order, in whatever a glob matches."""
    return [literal for literal in glob_parts(glob)[0::2] if literal]


def glob_pattern(glob: str) -> str:
    """A pattern for the same texts that never backtracks from one literal into the one before.

    Each run of `*` and what follows is an atomic group: the leftmost place for it is as good as
    any later one, so time stays linear whatever the text.
    """
    parts = glob_parts(glob)
    pieces: list[str] = [""]
    for index, part in enumerate(parts):
        if index % 2 == 0:
            pieces[-1] += re.escape(part)
        elif part == "?":
            pieces[-1] += "."
        else:
            pieces.append("")
    if len(pieces) == 1:
        return rf"\A{pieces[0]}\Z"
    middle = "".join(f"(?>.*?{piece})" for piece in pieces[1:-1] if piece)
    return rf"\A{pieces[0]}{middle}.*{pieces[-1]}\Z"


def number(text: str) -> float | int | None:
    """The number that a text is, or None."""
    if not text or len(text) > _MAX_NUMBER_CHARS or not text.isascii():
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _text_test(operator: str, values: tuple[str, ...]) -> Test:
    if operator == "equals":
        return frozenset(values).__contains__
    if operator == "startswith":
        return lambda value: value.startswith(values)
    if operator == "endswith":
        return lambda value: value.endswith(values)
    if len(values) == 1:
        literal = values[0]
        return lambda value: literal in value

    def holds(value: str) -> bool:
        for literal in values:  # noqa: SIM110 (a generator costs more than the search)
            if literal in value:
                return True
        return False

    return holds


def _pattern_test(pattern: str, flags: int, gate: str) -> Test:
    try:
        search = re.compile(pattern, flags | re.ASCII).search
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise RuleError(
            f"expected a regular expression of Python's re, got {pattern!r}: {error}"
        ) from error
    if gate:
        return lambda value: gate in value.lower() and search(value) is not None
    return lambda value: search(value) is not None


def _network_test(text: str) -> Test:
    import ipaddress  # noqa: PLC0415 (0.6 MB that only rules about networks need)

    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise RuleError(f"expected a network such as 10.0.0.0/8, got {text!r}") from error

    def inside(value: str) -> bool:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            if address in network:
                return True
            return address.ipv4_mapped in network
        return address in network

    return inside


def _order_test(operator: Literal["lt", "lte", "gt", "gte"], text: str) -> Test:
    limit = number(text)
    if limit is None:
        raise RuleError(f"expected a number after {operator}, got {text!r}")
    bound = limit  # narrowed for the functions below

    def compare(value: str) -> bool:
        found = number(value)
        if found is None:
            return False
        match operator:
            case "lt":
                return found < bound
            case "lte":
                return found <= bound
            case "gt":
                return found > bound
            case "gte":
                return found >= bound

    return compare
