"""Times a regular expression against lines made to be hard for it.

Rule 1: lines are made from the pattern itself: what leads to each of its repetitions, then what the
repetition takes, many times, then a character that spoils the match; and from texts that devices
see. They begin short and grow slowly, since some patterns need years for 100 characters.
Rule 2: a search that takes longer than GUARD_S of CPU is ended by a timer, where this runs in the
main thread; nowhere else is there a way to end it.
Rule 3: a passed trial is no proof; nested repetitions are refused before (_sigma_regex.py).
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

from vedette.cli._pattern_sample import branches, children, is_endless, parse, sample

MAX_SEARCH_S = 0.05
"""Ours: 4 KB may take a device ten times as long, and half a second is what it can bear once."""

GUARD_S = 1.0
"""Ours: enough to see that a search is too slow even where the machine is busy."""

_SIZES = (16, 20, 24, 28, 32, 40, 64, 256, 1024, 4096)
"""Up to core.condition.SCAN_CHARS; the small steps catch what doubles with each character."""

_FILLERS = ("a", "0", " ", "/", "|", ".", "-", "=", ":", "a ", "-a ", "/a", "a=")
_SPOILERS = ("", "\x01", "!")
_MAX_SEEDS = 96
_MAX_SEED_CHARS = 256

Search = Callable[[str], object]


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
    search = re.compile(text, re.ASCII).search
    seeds = list(dict.fromkeys(_seeds(text, literals)))
    unit, line = "", ""
    with _guarded() as wind:
        try:
            for unit, line in _lines(seeds):
                wind()
                seconds = _seconds(search, line)
                # Look twice: the first look may have paid for memory that was not there yet.
                if seconds > MAX_SEARCH_S and _seconds(search, line) > MAX_SEARCH_S:
                    return Slow(seconds, len(line), unit)
        except _TimeUpError:
            return Slow(GUARD_S, len(line), unit)
    return None


def _lines(seeds: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What is repeated and the line, the short ones of all seeds first."""
    for size in _SIZES:
        for head, unit in seeds:
            for spoiler in _SPOILERS:
                yield unit, (head + unit * size)[: size - len(spoiler)] + spoiler


def _seeds(text: str, literals: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What a line begins with and what it repeats."""
    for filler in _FILLERS:
        yield "", filler
    made = _repetitions(parse(text), "")
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


def _seconds(search: Search, line: str) -> float:
    began_s = time.thread_time()
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
