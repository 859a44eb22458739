"""Small durable values in two copies: floors and accepted digests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.powercut.story import Mark, Promises, require

from vedette.store.state import FileState

UPDATES = 6
REOPENED_AT = 4


def play(folder: Path, mark: Mark) -> None:
    """A first start, updates, a restart in the middle."""
    state = FileState(folder / "state")
    for number in range(1, UPDATES + 1):
        if number == REOPENED_AT:
            state = FileState(folder / "state")
        mark(f"begun {number}")
        state.update({"rules.floor": number, "rules.accepted": (f"digest {number}",)})
        mark(f"done {number}")


def check(folder: Path, marks: Sequence[str]) -> None:
    """The floor is the last one promised or the one begun, and what belongs to it is with it."""
    promises = Promises(marks)
    state = FileState(folder / "state")
    floor = state.number("rules.floor")
    promises.require(floor, "floor")
    expected = (f"digest {floor}",) if floor else ()
    require(state.texts("rules.accepted") == expected, f"floor {floor} beside another digest")
    again = FileState(folder / "state")
    require(again.problems == [], f"not mended: {again.problems}")
    require(again.number("rules.floor") == floor, "the second start sees another floor")
