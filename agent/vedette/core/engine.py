"""The engine: from one event to the rules it meets.

Rule 1: it never loops over rules. A rule is reached from its trigger (core/triggers.py) through the
index of that field (core/engine_index.py) and only then asked in full.
Rule 2: devices repeat themselves: whole events and single values are remembered, bounded, and what
is forgotten is counted.
Rule 3: the same bundle and the same events give the same rules, in the bundle's order, and the same
counters: work is counted in rules asked and characters searched, never in time.
Rule 4: one rule that cannot be used on this device is named in `refused` and stops no other.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Mapping
from typing import NamedTuple, Self

from vedette.core.condition import Check, compile_condition
from vedette.core.partition import Partition
from vedette.errors import RuleError
from vedette.model.rule import Bundle, Rule

SERVICE_PREFIX = "service:"
"""Categories of log lines; the bare prefix holds rules for the lines of every service."""

RULES_PER_SLICE = 16
"""Ours: filing a rule takes 0.05 to 0.3 ms on x86-64; a slice must stay below 10 ms on ARM."""


MEMO_EVENTS = 1024
"""Ours: 0.2 MB for each category in a storm that never repeats itself, against 0.9 MB for 4,096,
which answer 76 instead of 68 % of a device's day and save 0.4 us for each event of it."""


class Work(NamedTuple):
    """What a rule has cost so far: how often it was asked, and of how many characters."""

    asked: int
    chars: int


class Engine:
    """Matches events against one bundle.

    Args:
        bundle: as codec.bundle gave it.
        memo: how many whole events are remembered per category; 0 remembers nothing.
    """

    def __init__(self, bundle: Bundle, memo: int = MEMO_EVENTS) -> None:
        self._prepare(bundle, memo)
        for _ in self._build():
            pass

    @classmethod
    def in_slices(cls, bundle: Bundle, memo: int = MEMO_EVENTS) -> Generator[None, None, Self]:
        """Build an engine a little at a time.

        Yields:
            None after each slice of RULES_PER_SLICE rules: let the loop run in between.

        Returns:
            The finished engine, as the generator's value.
        """
        engine = cls.__new__(cls)
        engine._prepare(bundle, memo)  # noqa: SLF001 (its own class)
        yield from engine._build()  # noqa: SLF001 (its own class)
        return engine

    def match(self, category: str, fields: Mapping[str, str]) -> tuple[Rule, ...]:
        """The rules that an event meets, in the bundle's order.

        Args:
            category: Sigma's logsource category, or "service:<name>" for a log line.
            fields: the event's fields by Sigma's names; what is unknown is "" or left out.
        """
        self._events += 1
        partition = self._partitions.get(category)
        if partition is None:
            partition = self._general if category.startswith(SERVICE_PREFIX) else None
            if partition is None:
                return ()
        key = partition.key(fields)
        found = partition.memo.find(key)
        if found is None:
            self._new_events += 1
            found = self._judge(partition, fields)
            partition.memo.keep(key, found, sum(map(len, filter(None, key))))
        self._matches += len(found)
        return found

    @property
    def bundle(self) -> Bundle:
        """What it runs."""
        return self._bundle

    @property
    def refused(self) -> tuple[tuple[str, str], ...]:
        """(rule id, reason) of the rules that this device cannot run."""
        return tuple(self._refused)

    @property
    def always(self) -> tuple[str, ...]:
        """Ids of the rules that are asked of every new event, for want of a trigger."""
        numbers = {number for part in self._partitions.values() for number in part.always}
        return tuple(self._bundle.rules[number].rule_id for number in sorted(numbers))

    def counters(self) -> Mapping[str, int]:
        """What was done so far; `repeated` events were answered from memory."""
        partitions = list(self._partitions.values())
        return {
            "in": self._events,
            "repeated": self._events - self._new_events,
            "candidates": sum(self._asked),
            "chars": sum(self._chars),
            "matches": self._matches,
            "evicted": sum(partition.forgotten() for partition in partitions),
        }

    def work(self) -> Mapping[str, Work]:
        """What each rule has cost that was asked at all, by rule id."""
        return {
            rule.rule_id: Work(asked, chars)
            for rule, asked, chars in zip(self._bundle.rules, self._asked, self._chars, strict=True)
            if asked
        }

    def _prepare(self, bundle: Bundle, memo: int) -> None:
        count = len(bundle.rules)
        self._bundle = bundle
        self._memo = memo
        self._partitions: dict[str, Partition] = {}
        self._general: Partition | None = None
        self._checks: list[Check | None] = [None] * count
        self._refused: list[tuple[str, str]] = []
        self._asked = array("Q", bytes(8 * count))
        self._chars = array("Q", bytes(8 * count))
        self._events = self._new_events = self._matches = 0

    def _build(self) -> Generator[None, None, None]:
        rules = self._bundle.rules
        for category in dict.fromkeys(rule.category for rule in rules):
            self._partitions[category] = Partition(self._memo)
        self._general = self._partitions.get(SERVICE_PREFIX)
        for number, rule in enumerate(rules):
            self._add(number, rule)
            if number % RULES_PER_SLICE == RULES_PER_SLICE - 1:
                yield
        for partition in self._partitions.values():
            partition.freeze()

    def _add(self, number: int, rule: Rule) -> None:
        try:
            self._checks[number] = compile_condition(rule.condition)
            for category, partition in self._partitions.items():
                if category == rule.category or (
                    rule.category == SERVICE_PREFIX and category.startswith(SERVICE_PREFIX)
                ):
                    partition.add(number, rule.condition)
        except RuleError as error:
            self._checks[number] = None
            self._refused.append((rule.rule_id, str(error)))

    def _judge(self, partition: Partition, fields: Mapping[str, str]) -> tuple[Rule, ...]:
        numbers = partition.candidates(fields)
        if not numbers:
            return ()
        event = partition.view(fields)
        chars = sum(map(len, event.plain.values()))
        rules = self._bundle.rules
        found: list[Rule] = []
        for number in sorted(numbers):
            check = self._checks[number]
            if check is None:
                continue
            self._asked[number] += 1
            self._chars[number] += chars
            if check(event):
                found.append(rules[number])
        return tuple(found)
