"""A partition: the rules of one category, filed under the fields that lead to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeAlias, TypeVar, assert_never

from vedette.core.arguments import SOURCES, place_of
from vedette.core.comparison import FIELD_OPERATORS
from vedette.core.condition import FIELD_ALIASES, Fields
from vedette.core.engine_index import FieldIndex
from vedette.core.memo import Memo
from vedette.core.triggers import trigger
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not

_VALUES_SHARE = 4
"""Ours: repeated events never reach the fields, so fewer values than events are worth keeping."""

Key: TypeAlias = tuple[str | None, ...]
Known: TypeAlias = dict[str, tuple[int, ...]]
Find: TypeAlias = Callable[[str], tuple[int, ...]]
Answer = TypeVar("Answer")


class Partition(Generic[Answer]):
    """Leads from events of one category to rule numbers; filled by `add`, then frozen.

    Args:
        memo: how many events are remembered.
    """

    def __init__(self, memo: int) -> None:
        self.memo: Memo[Key, Answer] = Memo(memo)
        self.always: list[int] = []
        self._values = memo // _VALUES_SHARE
        self._fields: dict[str, None] = {}
        self._indexes: dict[str, FieldIndex] = {}
        self._names: tuple[str, ...] = ()
        self._probes: tuple[tuple[str, Known, Find], ...] = ()
        self._keywords: FieldIndex | None = None

    def add(self, number: int, condition: Condition) -> Iterator[int]:
        """File a rule, comparison by comparison.

        Yields:
            1 for each comparison filed.

        Raises:
            RuleError: a value of its trigger cannot be used.
        """
        self.look_at((condition,))
        clause = trigger(condition)
        if clause is None:
            self.always.append(number)
            return
        for match in clause:
            if match.field not in self._indexes:
                self._indexes[match.field] = FieldIndex(self._values)
            self._indexes[match.field].add(match, number)
            yield 1

    def look_at(self, conditions: Iterable[Condition]) -> None:
        """Let an event's key and view hold the fields that these conditions look at."""
        for condition in conditions:
            for field in fields_of(condition):
                self._fields[field] = None

    def freeze(self) -> None:
        """Lay out what the hot path reads; nothing is added after this."""
        for index in self._all():
            index.freeze()
        self._keywords = self._indexes.pop("", None)
        names = dict(self._fields)
        if any(map(place_of, names)):
            names = dict.fromkeys([name for name in names if not place_of(name)] + [*SOURCES])
        probes = [(field, index.known, index.find) for field, index in self._indexes.items()]
        for field, alias in FIELD_ALIASES.items():
            if field in names:
                names[alias] = None
            if field in self._indexes:
                index = self._indexes[field]
                probes.append((alias, index.known, index.find))
        self._names = () if "" in names else tuple(names)
        self._probes = tuple(probes)

    def key(self, fields: Fields) -> Key:
        """What makes two events equal for these rules: the fields that any of them looks at."""
        if self._names:
            return tuple(map(fields.get, self._names))
        return (*fields, *fields.values())  # keyword rules look at all of them

    def candidates(self, fields: Fields) -> set[int]:
        """Numbers of the rules that an event may meet."""
        numbers = set(self.always)
        for field, known, find in self._probes:
            value = fields.get(field)
            if value is not None:
                found = known.get(value)
                if found is None:
                    found = find(value)
                if found:
                    numbers.update(found)
        if self._keywords is not None:
            for value in fields.values():
                numbers.update(self._keywords.find(value))
        return numbers

    def mute(self, number: int) -> None:
        """Ask a rule no more; answers that knew it are forgotten."""
        self.memo.clear()
        for index in self._all():
            index.mute(number)

    def unmute(self, number: int) -> None:
        """Ask a rule again."""
        self.memo.clear()
        for index in self._all():
            index.unmute(number)

    def tests_of(self, fields: Fields) -> Iterator[tuple[int, Callable[[], bool]]]:
        """The tests that every new event has to pass, with their rules' numbers, to be timed."""
        for field, index in self._indexes.items():
            for name in (field, FIELD_ALIASES.get(field, "")):
                if name in fields:
                    yield from index.tests_of(fields[name])
        if self._keywords is not None:
            for value in fields.values():
                yield from self._keywords.tests_of(value)

    def take_apart(self) -> Iterator[None]:
        """Give back the memory of a partition that is no longer used, index by index."""
        self.memo.clear()
        self._probes = ()
        indexes = self._all()
        self._indexes, self._keywords = {}, None
        for index in indexes:
            yield from index.take_apart()

    def forgotten(self) -> int:
        """Events and values forgotten for want of room."""
        return self.memo.evicted + sum(index.forgotten() for index in self._all())

    def _all(self) -> list[FieldIndex]:
        return [*self._indexes.values(), *filter(None, (self._keywords,))]


def matches_of(condition: Condition) -> Iterator[Match]:
    """All comparisons of a condition, in order."""
    match condition:
        case Match():
            yield condition
        case Not():
            yield from matches_of(condition.part)
        case AllOf() | AnyOf():
            for part in condition.parts:
                yield from matches_of(part)
        case _:
            assert_never(condition)


def fields_of(condition: Condition) -> Iterator[str]:
    """The fields that a condition looks at, in order, as often as it does; "" for keywords."""
    for match in matches_of(condition):
        yield match.field
        if match.operator in FIELD_OPERATORS:
            yield match.value
