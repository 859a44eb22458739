"""Conditions of rules <-> the msgpack values they are in a bundle.

Rule 1: a condition is ["and", parts...], ["or", parts...], ["not", part] or [operator, field,
is_cased, gate, values...], the values being alternatives.
Rule 2: text, numbers of items and depth are bounded; equal texts and comparisons become one object.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TypeAlias, get_args

from vedette.codec.compact import Reader
from vedette.errors import ParseError
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not, Operator

MAX_DEPTH = 16
"""Ours: the deepest of SigmaHQ's Linux rules has 4."""

MAX_NODES = 4096
"""Ours: comparisons and groups in one rule; the largest of SigmaHQ's Linux rules has 100. One rule
is read and compiled in one go, which must not hold the agent up."""

MAX_VALUE_BYTES = 1024
MAX_NAME_BYTES = 128
"""Ours: of ids, categories, tags and names of fields."""

_OPERATORS: dict[str, Operator] = {name: name for name in get_args(Operator)}
_AND, _OR, _NOT = "and", "or", "not"

Packed: TypeAlias = str | int | bool | list["Packed"]


def pack(condition: Condition) -> Packed:
    """Write a condition; equal conditions give equal values."""
    match condition:
        case Match():
            return _pack_matches([condition])
        case AllOf():
            return [_AND, *[pack(part) for part in condition.parts]]
        case Not():
            return [_NOT, pack(condition.part)]
        case AnyOf():
            parts = _pack_alternatives(condition.parts)
            if len(parts) == 1 and len(condition.parts) > 1:
                return parts[0]
            return [_OR, *parts]


def _pack_alternatives(parts: Iterable[Condition]) -> list[Packed]:
    """Fold neighbours that differ only in their value: most of a bundle is lists of literals."""
    packed: list[Packed] = []
    for _, run in groupby(parts, key=_fold_key):
        members = list(run)
        matches = [part for part in members if isinstance(part, Match)]
        if matches:
            packed.append(_pack_matches(matches))
        else:
            packed.extend(pack(part) for part in members)
    return packed


def _fold_key(part: Condition) -> tuple[str, ...]:
    if isinstance(part, Match):
        return (part.field, part.operator, str(part.is_cased), part.gate)
    return ()


def _pack_matches(matches: list[Match]) -> Packed:
    first = matches[0]
    values = [match.value for match in matches]
    return [first.operator, first.field, first.is_cased, first.gate, *values]


class ConditionReader:
    """Reads conditions and texts; keeps what it has seen so that equal parts are one object.

    Args:
        reader: stands before the value that is read next.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._texts: dict[str, str] = {}
        self._matches: dict[Match, Match] = {}
        self._nodes = 0

    def condition(self) -> Condition:
        """The condition that comes next.

        Raises:
            ParseError: something else does, or it is larger than MAX_NODES or MAX_DEPTH.
        """
        self._nodes = 0
        return self._condition(0)

    def text(self, what: str, max_bytes: int) -> str:
        """The text that comes next.

        Raises:
            ParseError: something else does, or it is too long.
        """
        text = self._reader.text(what, max_bytes)
        return self._texts.setdefault(text, text)

    def texts(self, what: str, max_items: int, max_bytes: int) -> tuple[str, ...]:
        """The list of texts that comes next.

        Raises:
            ParseError: something else does, it is too long or one of them is.
        """
        count = self._reader.array(what, max_items)
        return tuple(self.text(what, max_bytes) for _ in range(count))

    def _condition(self, depth: int) -> Condition:
        start = self._reader.offset
        if depth > MAX_DEPTH:
            raise ParseError(f"expected a condition nested at most {MAX_DEPTH} deep", start)
        count = self._reader.array("a condition", MAX_NODES)
        self._nodes += max(count, 1)
        if count == 0 or self._nodes > MAX_NODES:
            raise ParseError(
                f"expected 1 to {MAX_NODES} parts in a rule's condition, got "
                f"{'none' if count == 0 else self._nodes}",
                start,
            )
        name = self._reader.text("an operator", MAX_NAME_BYTES)
        if name in (_AND, _OR, _NOT):
            return self._group(name, count - 1, depth, start)
        return self._comparison(name, count, start)

    def _group(self, name: str, count: int, depth: int, start: int) -> Condition:
        if count == 0 or (name == _NOT and count != 1):
            wanted = "one part" if name == _NOT else "at least one part"
            raise ParseError(f"expected {wanted} in {name!r}, got {count}", start)
        parts = tuple(self._condition(depth + 1) for _ in range(count))
        if name == _NOT:
            return Not(parts[0])
        return AllOf(parts) if name == _AND else AnyOf(_flat(parts))

    def _comparison(self, name: str, count: int, start: int) -> Condition:
        operator = _OPERATORS.get(name)
        if operator is None:
            raise ParseError(f"expected a known operator, got {name!r}", start)
        head = 4  # operator, field, is_cased, gate
        if count <= head:
            raise ParseError(f"expected {name!r} with at least one value", start)
        field = self.text("a field", MAX_NAME_BYTES)
        is_cased = self._reader.flag("a condition's case flag")
        gate = self.text("a gate", MAX_VALUE_BYTES)
        found = tuple(
            self._match(Match(field, operator, self._value(), is_cased, gate))
            for _ in range(count - head)
        )
        return found[0] if len(found) == 1 else AnyOf(found)

    def _value(self) -> str:
        return self.text("a value", MAX_VALUE_BYTES)

    def _match(self, match: Match) -> Match:
        return self._matches.setdefault(match, match)


def _flat(parts: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Undo the folding of alternatives: an or directly in an or is its parts."""
    flat: list[Condition] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, AnyOf) else (part,))
    return tuple(flat)
