"""The engine: from one event to the rules it meets.

Rule 1: it never loops over rules. A rule is reached from its trigger (core/triggers.py) through the
index of that field (core/engine_index.py) and only then asked in full.
Rule 2: devices repeat themselves: whole events and single values are remembered, bounded, and what
is forgotten is counted.
Rule 3: the same bundle and the same events give the same rules, in the bundle's order, and the same
counters: work is counted in rules asked and characters searched, never in time.
Rule 4: one rule that cannot be used on this device is named in `refused` and stops no other.
Rule 5: an exclusion is asked only after its rule matched.
Rule 6: all rules are compiled when the engine is built, so that what cannot be is refused then; of
that only the patterns are kept, which take a millisecond each. The rest is compiled again when a
rule is first asked: on one device most never are, and functions are larger than a condition.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Self

from vedette.core.comparison import PATTERNS, Test, compile_test
from vedette.core.condition import Check, View, compile_condition, short_view, view
from vedette.core.cut import SCAN_CHARS
from vedette.core.exclusions import Exclusions
from vedette.core.partition import Partition, matches_of
from vedette.errors import RuleError
from vedette.model.rule import Bundle, Condition, Match, Rule

SERVICE_PREFIX = "service:"
"""Categories of log lines; the bare prefix holds rules for the lines of every service."""

SLICE_WORK = 32
"""Ours: comparisons filed in one slice of building; each takes some 40 us on x86-64, and a slice
must stay below 10 ms on ARM."""

PATTERN_WORK = 24
"""Compiling a regular expression takes as long as filing so many comparisons."""

COMPILED_TOGETHER = 8
"""Comparisons that are looked at and compiled in the time one is filed."""

MEMO_EVENTS = 1024
"""Ours: 0.2 MB for each category in a storm that never repeats itself, against 0.9 MB for 4,096,
which answer 76 instead of 68 % of a device's day and save 0.4 us for each event of it."""

FREED_RULES = 16

SLOW_S = 0.005
"""One rule's answer to one event takes some microseconds; so long takes a pattern that explodes."""

SLOW_ASKS = 3
"""How often a rule is asked again before it counts as slow: the clocks of a virtual machine count
what its host took from it meanwhile, and a muted rule is blind for minutes."""
CERTAIN_S = 0.25
"""So long takes no interruption: nobody waits for the same again."""


class Work(NamedTuple):
    """What a rule has cost so far: how often it was asked, and of how many characters."""

    asked: int
    chars: int


class Slow(NamedTuple):
    """A rule that took longer than SLOW_S for one event."""

    rule_id: str
    took_s: float


class Stopwatch(NamedTuple):
    """Two clocks in seconds: one that is quick to read, and this thread's CPU time.

    The second decides: a thread that had to wait while it was asked has done no more work.
    """

    quick: Callable[[], float]
    cpu: Callable[[], float]


class _Answer(NamedTuple):
    """What an event meets, and the numbers of the exclusions that took a match out."""

    rules: tuple[Rule, ...]
    excluded: tuple[int, ...]


_NOTHING = _Answer((), ())


def _unasked(event: View) -> bool:
    """Stands for the check of a rule that can be compiled and was not asked yet."""
    raise AssertionError(f"expected a compiled rule to be asked of {event}")


class Engine:
    """Matches events against one bundle.

    Args:
        bundle: as codec.bundle gave it.
        memo: how many whole events are remembered per category; 0 remembers nothing.
        device_class: which exclusions hold here.

    Attributes:
        stopwatch: None, or what times the rules. What it says goes to `take_slow` and changes no
            answer: time becomes a decision only as an input.
    """

    _bundle: Bundle

    def __init__(self, bundle: Bundle, memo: int = MEMO_EVENTS, *, device_class: str = "") -> None:
        self._prepare(bundle, memo, device_class)
        for _ in self._build():
            pass

    @classmethod
    def in_slices(
        cls, bundle: Bundle, memo: int = MEMO_EVENTS, *, device_class: str = ""
    ) -> Generator[int, None, Self]:
        """Build an engine a little at a time.

        Yields:
            The work of each slice, hardly above SLICE_WORK: let the loop run in between.

        Returns:
            The finished engine, as the generator's value.
        """
        engine = cls.__new__(cls)
        engine._prepare(bundle, memo, device_class)  # noqa: SLF001 (its own class)
        yield from engine._build()  # noqa: SLF001 (its own class)
        return engine

    def match(self, category: str, fields: Mapping[str, str]) -> tuple[Rule, ...]:
        """The rules that an event meets and no exclusion takes out, in the bundle's order.

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
            chars = sum(map(len, filter(None, key)))
            found = self._judge(partition, fields, chars)
            partition.memo.keep(key, found, chars)
        if found is _NOTHING:
            return ()
        for number in found.excluded:
            self._exclusions.count(number)
        self._matches += len(found.rules)
        return found.rules

    def mute(self, rule_id: str) -> None:
        """Ask a rule no more until `unmute`; one that is not known or refused is none to mute."""
        for number in self._numbers(rule_id):
            check = self._checks[number]
            if check is not None:
                self._muted[number] = check
                self._checks[number] = None
                for partition in self._partitions.values():
                    partition.mute(number)

    def unmute(self, rule_id: str) -> None:
        """Ask a rule again."""
        for number in self._numbers(rule_id):
            check = self._muted.pop(number, None)
            if check is not None:
                self._checks[number] = check
                for partition in self._partitions.values():
                    partition.unmute(number)

    def take_slow(self) -> list[Slow]:
        """Rules that took too long since this was asked last; always empty without stopwatch."""
        slow = self._slow.copy()
        self._slow.clear()
        return slow

    @property
    def bundle(self) -> Bundle:
        """What it runs."""
        return self._bundle

    @property
    def asked(self) -> array[int]:
        """How often each rule was asked, in the bundle's order; only to be read."""
        return self._asked

    @property
    def chars(self) -> array[int]:
        """Of how many characters each rule was asked, in the bundle's order; only to be read."""
        return self._chars

    def rules(self, rule_id: str) -> tuple[Rule, ...]:
        """The parts of a rule, one for each category it speaks of; () for one that is unknown."""
        return tuple(self._bundle.rules[number] for number in self._numbers(rule_id))

    def take_apart(self) -> Iterator[None]:
        """Give back the memory of an engine that is no longer used, a little at a time.

        Thousands of rules freed at once would hold the loop up; each step frees a slice of them.
        """
        rules = list(self._bundle.rules)
        self._bundle = replace(self._bundle, rules=())
        while rules:
            del rules[-FREED_RULES:], self._checks[-FREED_RULES:]
            yield
        while self._patterns:
            for _ in range(min(len(self._patterns), FREED_RULES)):
                self._patterns.popitem()
            yield
        for partition in self._partitions.values():
            yield from partition.take_apart()

    @property
    def refused(self) -> tuple[tuple[str, str], ...]:
        """(id, reason) of the rules and exclusions that this device cannot run."""
        return (*self._refused, *self._exclusions.refused)

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
        work: dict[str, Work] = {}
        for rule, asked, chars in zip(self._bundle.rules, self._asked, self._chars, strict=True):
            if asked:
                before = work.get(rule.rule_id, Work(0, 0))
                work[rule.rule_id] = Work(before.asked + asked, before.chars + chars)
        return work

    def excluded(self) -> Mapping[str, int]:
        """How many matches each exclusion took out that is for this device, by filter id."""
        return self._exclusions.counters()

    def _prepare(self, bundle: Bundle, memo: int, device_class: str) -> None:
        count = len(bundle.rules)
        self.stopwatch: Stopwatch | None = None
        self._bundle = bundle
        self._exclusions = Exclusions(device_class)
        self._muted: dict[int, Check] = {}
        self._by_id: dict[str, list[int]] = {}
        self._slow: list[Slow] = []
        self._memo = memo
        self._partitions: dict[str, Partition[_Answer]] = {}
        self._general: Partition[_Answer] | None = None
        self._checks: list[Check | None] = [None] * count
        self._patterns: dict[Match, Test] = {}
        self._refused: list[tuple[str, str]] = []
        self._asked = array("Q", bytes(8 * count))
        self._chars = array("Q", bytes(8 * count))
        self._events = self._new_events = self._matches = 0

    def _build(self) -> Generator[int, None, None]:
        for category in dict.fromkeys(rule.category for rule in self._bundle.rules):
            self._partitions[category] = Partition(self._memo)
        self._general = self._partitions.get(SERVICE_PREFIX)
        work = 0
        for done in self._steps():
            work += done
            if work >= SLICE_WORK:
                yield work
                work = 0
        for partition in self._partitions.values():
            partition.freeze()

    def _steps(self) -> Iterator[int]:
        """All there is to build, in small steps; gives the work of each."""
        for exclusion in self._bundle.exclusions:
            self._exclusions.add(exclusion)
            yield _compile_work(exclusion.condition)
        for number, rule in enumerate(self._bundle.rules):
            try:
                for _ in _compile_patterns(rule.condition, self._patterns):
                    yield PATTERN_WORK
                compile_condition(rule.condition, self._patterns)
                self._checks[number] = _unasked
                yield _compile_work(rule.condition)
                yield from self._file(number, rule)
            except RuleError as error:
                self._checks[number] = None
                self._refused.append((rule.rule_id, str(error)))

    def _file(self, number: int, rule: Rule) -> Iterator[int]:
        seen = [self._exclusions.condition(index) for index in self._exclusions.of(rule)]
        for category, partition in self._partitions.items():
            if category == rule.category or (
                rule.category == SERVICE_PREFIX and category.startswith(SERVICE_PREFIX)
            ):
                partition.look_at(seen)
                yield from partition.add(number, rule.condition)

    def _judge(
        self, partition: Partition[_Answer], fields: Mapping[str, str], chars: int
    ) -> _Answer:
        stopwatch = self.stopwatch
        if stopwatch is None:
            numbers = partition.candidates(fields)
        else:
            numbers = self._timed_candidates(partition, fields, stopwatch)
        if not numbers:
            return _NOTHING
        event = view(fields) if chars > SCAN_CHARS else short_view(fields)
        rules = self._bundle.rules
        found: list[Rule] = []
        excluded: list[int] = []
        for number in sorted(numbers):
            check = self._checks[number]
            if check is None:
                continue
            if check is _unasked:
                check = compile_condition(rules[number].condition, self._patterns)
                self._checks[number] = check
            self._asked[number] += 1
            self._chars[number] += chars
            if check(event) if stopwatch is None else self._timed(number, check, event, stopwatch):
                exclusion = self._excluding(rules[number], event)
                if exclusion is None:
                    found.append(rules[number])
                else:
                    excluded.append(exclusion)
        return _Answer(tuple(found), tuple(excluded)) if found or excluded else _NOTHING

    def _excluding(self, rule: Rule, event: View) -> int | None:
        """The first exclusion that is true of a match."""
        for number in self._exclusions.of(rule):
            if self._exclusions.check(number)(event):
                return number
        return None

    def _timed(self, number: int, check: Check, event: View, stopwatch: Stopwatch) -> bool:
        began_s = stopwatch.quick()
        is_met = check(event)
        if stopwatch.quick() - began_s > SLOW_S:
            self._time(number, lambda: check(event), stopwatch)
        return is_met

    def _timed_candidates(
        self, partition: Partition[_Answer], fields: Mapping[str, str], stopwatch: Stopwatch
    ) -> set[int]:
        began_s = stopwatch.quick()
        numbers = partition.candidates(fields)
        if stopwatch.quick() - began_s > SLOW_S:
            for number, test in partition.tests_of(fields):
                self._time(number, test, stopwatch)
        return numbers

    def _time(self, number: int, ask: Callable[[], bool], stopwatch: Stopwatch) -> None:
        fastest_s = float("inf")
        for _ in range(SLOW_ASKS):
            began_s = stopwatch.cpu()
            ask()
            fastest_s = min(fastest_s, stopwatch.cpu() - began_s)
            if not SLOW_S < fastest_s < CERTAIN_S:
                break
        if fastest_s > SLOW_S:
            self._slow.append(Slow(self._bundle.rules[number].rule_id, fastest_s))

    def _numbers(self, rule_id: str) -> Sequence[int]:
        if not self._by_id:  # muting is rare: most engines never need it
            for number, rule in enumerate(self._bundle.rules):
                self._by_id.setdefault(rule.rule_id, []).append(number)
        return self._by_id.get(rule_id, ())


def _compile_work(condition: Condition) -> int:
    return 1 + sum(1 for _ in matches_of(condition)) // COMPILED_TOGETHER


def _compile_patterns(condition: Condition, compiled: dict[Match, Test]) -> Iterator[None]:
    """Add the tests of all patterns that are not there yet, one at a time."""
    for match in matches_of(condition):
        if match.operator in PATTERNS and match not in compiled:
            compiled[match] = compile_test([match])
            yield
