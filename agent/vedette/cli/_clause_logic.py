"""What one comparison says about another of the same field: that it must hold, or cannot.

Rule 1: sound, not complete: a yes is proven for every event there can be, a no means "not proven".
Rule 2: it follows core.comparison and core.condition: values in lower case unless cased, a missing
field meets nothing but `null` and `exists: false`; Image and ParentImage may be met by their alias,
so that two comparisons of these never exclude each other.
Rule 3: an operator it does not know proves nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from vedette.core.comparison import compile_test, glob_parts, number
from vedette.core.condition import FIELD_ALIASES
from vedette.errors import RuleError
from vedette.model.rule import Match

_ANY, _ONE = "", "?"  # tokens of a glob; a literal question mark is kept apart by its backslash
_TEXTS = frozenset(("equals", "contains", "startswith", "endswith", "glob"))
_ORDERS = frozenset(("lt", "lte", "gt", "gte"))
_ASKING = _TEXTS | _ORDERS | {"re", "cidr"}
_MAX_TOKENS = 400
"""Ours: the search below takes the product of two lengths; longer globs are not proven."""

_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def implies(one: Match, other: Match) -> bool:
    """Whether every event that meets `one` is proven to meet `other`."""
    if one == other:
        return True
    if one.field != other.field:
        return False
    if is_absence(other):
        return one.operator == "equals" and one.value == "" and not _is_aliased(one.field)
    if is_presence(other):
        return _is_filled(one) and not _is_aliased(one.field) and one.field != ""
    if is_absence(one) or is_presence(one):
        return is_absence(one) and is_absence(other)
    return _is_met_by(other, one) if one.operator == "equals" else _is_covered(one, other)


def excludes(one: Match, other: Match) -> bool:
    """Whether no event is proven to meet both."""
    if one.field != other.field or one.field == "" or _is_aliased(one.field):
        return False
    if is_absence(one):
        return is_presence(other) or _is_filled(other)
    if is_absence(other):
        return is_presence(one) or _is_filled(one)
    if is_presence(one) or is_presence(other):
        return any(match.operator == "equals" and match.value == "" for match in (one, other))
    if "equals" in (one.operator, other.operator):
        fixed, asked = (one, other) if one.operator == "equals" else (other, one)
        return _is_never_met_by(asked, fixed)
    if one.operator in _TEXTS and other.operator in _TEXTS:
        return _ends_differ(one, other)
    if one.operator in _ORDERS and other.operator in _ORDERS:
        return _are_ranges_apart(one, other)
    if one.operator == other.operator == "cidr":
        return _are_networks_apart(one.value, other.value)
    return False


def _is_covered(one: Match, other: Match) -> bool:
    if one.operator in _TEXTS and other.operator in _TEXTS:
        return _covers(other, one)
    if one.operator == "re":
        return other.operator == "contains" and not other.is_cased and other.value in one.gate
    if one.operator in _ORDERS and other.operator in _ORDERS:
        return _is_range_inside(one, other)
    return one.operator == other.operator == "cidr" and _is_network_inside(one.value, other.value)


def is_absence(match: Match) -> bool:
    """Whether it asks that the field is missing or empty."""
    return match.operator == "null" or (match.operator, match.value) == ("exists", "false")


def is_presence(match: Match) -> bool:
    """Whether it asks no more than that the field is there."""
    return (match.operator, match.value) == ("exists", "true")


def inverse_of_presence(match: Match) -> Match:
    """The comparison that is true exactly where an `exists` or `null` is not."""
    return Match(match.field, "exists", "true" if is_absence(match) else "false", is_cased=False)


def _is_aliased(field: str) -> bool:
    return field in FIELD_ALIASES


def _is_filled(match: Match) -> bool:
    """Whether only values that are not empty meet it."""
    match match.operator:
        case "equals" | "contains" | "startswith" | "endswith":
            return match.value != ""
        case "glob":
            return any(part != "*" for part in glob_parts(match.value) if part)
        case "re":
            return match.gate != ""
        case "cidr" | "lt" | "lte" | "gt" | "gte":
            return True
        case _:
            return False


def _is_met_by(asked: Match, fixed: Match) -> bool:
    """Whether the text of an `equals`, in any case it may have, meets another comparison."""
    test = _test(asked)
    if test is None:
        return False
    if fixed.is_cased:
        if asked.is_cased or asked.operator == "re":
            return test(fixed.value)
        return fixed.value.isascii() and test(fixed.value.lower())
    if asked.operator == "re" or asked.is_cased:
        return _is_caseless(fixed.value) and test(fixed.value)
    return test(fixed.value)


def _is_never_met_by(asked: Match, fixed: Match) -> bool:
    test = _test(asked)
    if test is None:
        return False
    if fixed.is_cased or _is_caseless(fixed.value):
        if asked.is_cased or asked.operator == "re":
            return not test(fixed.value)
        return fixed.value.isascii() and not test(fixed.value.lower())
    if asked.operator == "re":
        return asked.gate != "" and asked.gate not in fixed.value
    if asked.is_cased:
        folded = _test(asked._replace(value=asked.value.lower(), is_cased=False))
        return folded is not None and asked.value.isascii() and not folded(fixed.value)
    return not test(fixed.value)


@lru_cache(maxsize=4096)
def _test(match: Match) -> Callable[[str], bool] | None:
    if match.operator not in _ASKING:
        return None
    try:
        return compile_test([match])
    except RuleError:
        return None


def _is_caseless(text: str) -> bool:
    return text.isascii() and text.lower() == text.upper()


def _texts(one: Match, other: Match) -> tuple[str, str] | None:
    """Both values in a case in which they may be compared, for `one` being the stronger."""
    if one.is_cased == other.is_cased or _is_caseless(other.value):
        return one.value, other.value
    if one.is_cased and one.value.isascii():
        return one.value.lower(), other.value
    return None


def _covers(wide: Match, narrow: Match) -> bool:
    """Whether every text that `narrow` matches is matched by `wide`."""
    texts = _texts(narrow, wide)
    if texts is None:
        return False
    text, wanted = texts
    match (narrow.operator, wide.operator):
        case (("contains" | "startswith" | "endswith"), "contains"):
            return wanted in text
        case ("startswith", "startswith"):
            return text.startswith(wanted)
        case ("endswith", "endswith"):
            return text.endswith(wanted)
        case (_, "glob") | ("glob", _):
            tokens = _tokens(narrow.operator, text)
            return _is_inside(tokens, _tokens(wide.operator, wanted))
        case _:
            return False


def _tokens(operator: str, text: str) -> list[str]:
    if operator == "glob":
        tokens: list[str] = []
        for index, part in enumerate(glob_parts(text)):
            is_wildcard = index % 2 == 1
            tokens += [_ANY if part == "*" else _ONE] if is_wildcard else map(_literal, part)
        return tokens
    literal = list(map(_literal, text))
    before = [_ANY] if operator in ("contains", "endswith") else []
    after = [_ANY] if operator in ("contains", "startswith") else []
    return [*before, *literal, *after]


def _literal(char: str) -> str:
    return "\\?" if char == "?" else char


def _is_inside(narrow: list[str], wide: list[str]) -> bool:
    """Walk the wide glob over the tokens of the narrow one: only a `*` takes what a `*` may be."""
    if len(narrow) > _MAX_TOKENS or len(wide) > _MAX_TOKENS:
        return False
    places = _closure({0}, wide)
    for token in narrow:
        stay = {place for place in places if place < len(wide) and wide[place] == _ANY}
        step = {
            place + 1
            for place in places
            if place < len(wide) and token != _ANY and wide[place] in (token, _ONE)
        }
        places = _closure(stay | step, wide)
    return len(wide) in places


def _closure(places: set[int], wide: list[str]) -> set[int]:
    """With the places behind each `*`, since it may stand for nothing."""
    found = set(places)
    waiting = list(places)
    while waiting:
        place = waiting.pop()
        if place < len(wide) and wide[place] == _ANY and place + 1 not in found:
            found.add(place + 1)
            waiting.append(place + 1)
    return found


def _ends_differ(one: Match, other: Match) -> bool:
    """Whether two texts must begin, or end, in different ways."""
    heads, tails = zip(_ends(one), _ends(other), strict=True)
    if not all(text.isascii() for text in (*heads, *tails)):
        return False
    if not (one.is_cased and other.is_cased):
        heads = (heads[0].lower(), heads[1].lower())
        tails = (tails[0].lower(), tails[1].lower())
    head = min(map(len, heads))
    tail = min(map(len, tails))
    return heads[0][:head] != heads[1][:head] or (tail > 0 and tails[0][-tail:] != tails[1][-tail:])


def _ends(match: Match) -> tuple[str, str]:
    match match.operator:
        case "startswith":
            return match.value, ""
        case "endswith":
            return "", match.value
        case "glob":
            parts = glob_parts(match.value)
            return parts[0], parts[-1]
        case _:
            return "", ""


def _bound(match: Match) -> tuple[float, bool, bool] | None:
    """(limit, whether it is an upper one, whether the limit itself is inside)."""
    limit = number(match.value)
    if limit is None:
        return None
    return limit, match.operator in ("lt", "lte"), match.operator in ("lte", "gte")


def _is_range_inside(one: Match, other: Match) -> bool:
    narrow, wide = _bound(one), _bound(other)
    if narrow is None or wide is None or narrow[1] != wide[1]:
        return False
    if narrow[0] == wide[0]:
        return wide[2] or not narrow[2]
    return (narrow[0] < wide[0]) == narrow[1]


def _are_ranges_apart(one: Match, other: Match) -> bool:
    first, second = _bound(one), _bound(other)
    if first is None or second is None or first[1] == second[1]:
        return False
    upper, lower = (first, second) if first[1] else (second, first)
    return upper[0] < lower[0] or (upper[0] == lower[0] and not (upper[2] and lower[2]))


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_network_inside(one: str, other: str) -> bool:
    narrow, wide = _network(one), _network(other)
    if isinstance(narrow, ipaddress.IPv4Network) and isinstance(wide, ipaddress.IPv4Network):
        return narrow.subnet_of(wide)
    if isinstance(narrow, ipaddress.IPv6Network) and isinstance(wide, ipaddress.IPv6Network):
        return narrow.subnet_of(wide)
    return False


def _are_networks_apart(one: str, other: str) -> bool:
    """Only for two of one version: an IPv4 address may come in IPv6's clothes."""
    first, second = _network(one), _network(other)
    if first is None or second is None or first.version != second.version:
        return False
    return not first.overlaps(second)
