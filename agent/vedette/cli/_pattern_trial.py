"""Times a regular expression against lines made to be hard for it.

Rule 1: lines are made from the pattern itself: what leads to each of its repetitions, then what the
repetition takes, many times, then a character that spoils the match; and from texts that devices
see. They begin short and grow slowly, since some patterns need years for 100 characters.
Rule 2: a search that takes longer than GUARD_S of CPU is ended by a timer, where this runs in the
main thread; nowhere else is there a way to end it.
Rule 3: the longest line, which costs most of a trial, is spared where the same line a quarter as
long took next to no time, unless the pattern asks for more than was there.
Rule 4: lines of one length are searched together, and one by one only if that took too long, for to
look at the clock costs as much as most searches.
Rule 5: a passed trial is no proof; nested repetitions are refused before (_sigma_regex.py).
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

from vedette.cli._pattern_sample import branches, children, demand, is_endless, parse, sample

MAX_SEARCH_S = 0.05
"""Ours: 4 KB may take a device ten times as long, and half a second is what it can bear once."""

GUARD_S = 1.0
"""Ours: enough to see that a search is too slow even where the machine is busy."""

_SIZES = (16, 20, 24, 28, 32, 40, 64, 256, 1024, 4096)
"""Up to core.cut.SCAN_CHARS; the small steps catch what doubles with each character."""

_QUICK_S = MAX_SEARCH_S / (_SIZES[-1] // _SIZES[-2]) ** 4
"""Ours, 0.2 ms: to reach MAX_SEARCH_S on the longest line, what takes less on the one before had to
grow with the fourth power of the length, and would have taken minutes on that one already."""

_UNNOTICED_S = GUARD_S / 10
"""Ours: searches together; the timer is set anew only then, for setting it costs as much as one."""

_FILLERS = ("a", "0", " ", "/", "|", ".", "-", "=", ":", "a ", "-a ", "/a", "a=")
_SPOILERS = ("", "\x01", "!")
_MAX_SEEDS = 96
_MAX_SEED_CHARS = 256

Search = Callable[[str], object]


class _Line(NamedTuple):
    """What a line is made of: a beginning, what it repeats, and what spoils the match."""

    head: str
    unit: str
    spoiler: str

    def of(self, size: int) -> str:
        """The line in a length."""
        repeated = self.unit * (size // len(self.unit) + 1)
        return (self.head + repeated)[: size - len(self.spoiler)] + self.spoiler


class Slow(NamedTuple):
    """A line on which a search took too long."""

    seconds: float
    chars: int
    unit: str


class _TimeUpError(Exception):
    """The guard's time has passed."""


def slowest(text: str, literals: Iterable[str] = ()) -> Slow | None:
    """Look for a line on which a pattern takes longer than MAX_SEARCH_S.

    Args:
        text: a pattern that Python's re compiles.
        literals: texts of the pattern that lines may be made of as well.
    """
    tree = parse(text)
    seeds = dict.fromkeys(_seeds(tree, literals))
    lines = [_Line(*seed, spoiler) for seed in seeds for spoiler in _SPOILERS]
    spares = demand(tree) <= _SIZES[-2] // 2
    with _timed(re.compile(text, re.ASCII).search) as seconds_of:
        for size in _SIZES:
            if size < _SIZES[-2] and seconds_of([line.of(size) for line in lines]) <= MAX_SEARCH_S:
                continue
            grown = []
            for line in lines:
                seconds = seconds_of([line.of(size)])
                if seconds > MAX_SEARCH_S:
                    return Slow(seconds, size, line.unit)
                if seconds > _QUICK_S:
                    grown.append(line)
            if spares and size == _SIZES[-2]:
                lines = grown
    return None


def _seeds(tree: Any, literals: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What a line begins with and what it repeats."""
    for filler in _FILLERS:
        yield "", filler
    made = _repetitions(tree, "")
    yield from islice(made, _MAX_SEEDS)
    for literal in islice(literals, _MAX_SEEDS):
        if literal:
            yield "", literal
            yield from (("", literal + filler) for filler in (" ", "a", "/"))


def _repetitions(tree: Any, head: str) -> Iterator[tuple[str, str]]:
    for operation, argument in tree:
        if is_endless(str(operation), argument):
            for unit in branches(argument[2]):
                if unit:
                    yield head, unit[:_MAX_SEED_CHARS]
        for child in children(str(operation), argument):
            yield from _repetitions(child, head)
        head = (head + sample([(operation, argument)]))[:_MAX_SEED_CHARS]


@contextmanager
def _timed(search: Search) -> Iterator[Callable[[Sequence[str]], float]]:
    """A search that says how long it took, at most GUARD_S where that can be had.

    Yields:
        A function from lines to seconds of CPU for all of them.
    """
    with _guarded() as wind:
        wind()
        unnoticed_s = 0.0

        def seconds_of(lines: Sequence[str]) -> float:
            nonlocal unnoticed_s
            if unnoticed_s > _UNNOTICED_S:
                wind()
                unnoticed_s = 0.0
            try:
                seconds = _seconds(search, lines)
                if seconds > MAX_SEARCH_S:
                    # The first look may have paid for memory that was not there yet.
                    wind()
                    seconds = min(seconds, _seconds(search, lines))
            except _TimeUpError:
                return GUARD_S
            unnoticed_s += seconds
            return seconds

        yield seconds_of


def _seconds(search: Search, lines: Sequence[str]) -> float:
    began_s = time.thread_time()
    for line in lines:
        search(line)
    return time.thread_time() - began_s


@contextmanager
def _guarded() -> Iterator[Callable[[], object]]:
    """End what takes longer than GUARD_S of CPU: sre looks for signals while it searches.

    Yields:
        What begins the time anew.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = signal.signal(signal.SIGVTALRM, _ring)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_VIRTUAL, GUARD_S)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


def _ring(_number: int, _frame: object) -> None:
    raise _TimeUpError
