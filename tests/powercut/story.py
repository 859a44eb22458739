"""What a story is: real code that changes a store, and a judge of what a power cut left of it.

A story is a module of tests/powercut/stories/ or live/ with

    play(folder, mark)      the code under test, run once, recorded; `mark` says what it has begun
                            and what it may rely on from then on
    check(folder, marks)    opens the store as a start after the cut does; raises BadStateError, or
                            anything else, where that is neither the old state nor the new one
    prepare(folder)         optional: what is on the disk before, all of it safe
    refusal()               optional: why this machine cannot play it, or ""

Rule: `check` believes nothing but the marks and the files.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

FOLDER = Path(__file__).parent
STORES, LIVE = "stories", "live"
"""Folders of stories: whose `check` is a call of ours, and whose `check` starts real processes."""

Mark: TypeAlias = Callable[[str], None]


class BadStateError(AssertionError):
    """After the cut the store is neither as it was nor as it was to be."""


class Story(NamedTuple):
    """See the module."""

    name: str
    prepare: Callable[[Path], None]
    play: Callable[[Path, Mark], None]
    check: Callable[[Path, Sequence[str]], None]
    refusal: Callable[[], str]


class Promises:
    """What marks like "begun 3" and "done 2" say: the highest number of each word."""

    def __init__(self, marks: Sequence[str]) -> None:
        self._marks = [mark.rsplit(" ", 1) for mark in marks]

    def last(self, word: str) -> int:
        """The highest number marked with a word; 0 where there is none."""
        return max((int(number) for found, number in self._marks if found == word), default=0)

    def allows(self, number: int) -> bool:
        """Whether a store may be at this number: nothing done is lost, nothing is invented."""
        return self.last("done") <= number <= self.last("begun")

    def require(self, number: int, what: str) -> None:
        """Raise BadStateError for a number that is not allowed."""
        if not self.allows(number):
            raise BadStateError(
                f"{what}: expected {self.last('done')} to {self.last('begun')}, got {number}"
            )


def require(is_good: bool, what: str) -> None:  # noqa: FBT001 (as assert has it)
    """Raise BadStateError where something does not hold."""
    if not is_good:
        raise BadStateError(what)


def names(folder: str = STORES) -> list[str]:
    """The stories of a folder."""
    found = (info.name for info in pkgutil.iter_modules([str(FOLDER / folder)]))
    return [f"{folder}.{name}" for name in sorted(found)]


def load(name: str) -> Story:
    """The story of a name, as `names` has them, or of "module:class" for one that is elsewhere."""
    path, _, inner = name.partition(":")
    module = importlib.import_module(path if inner else f"tests.powercut.{path}")
    found = getattr(module, inner) if inner else module
    prepare = getattr(found, "prepare", _nothing)
    return Story(name, prepare, found.play, found.check, getattr(found, "refusal", str))


def _nothing(folder: Path) -> None:
    """There is nothing on the disk before."""
