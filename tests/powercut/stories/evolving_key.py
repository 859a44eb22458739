"""The checkpoint key, of which every use is the last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.powercut.story import Mark, Promises, require

from vedette.store import durable
from vedette.store.cell import FileCell
from vedette.trust.evolving_key import FILE, EvolvingKey

LINKS = 5


def play(folder: Path, mark: Mark) -> None:
    """A key is made and used up a few times."""
    durable.make_folder(folder / "state")
    key = EvolvingKey(FileCell(folder / "state" / FILE), 0)
    for number in range(1, LINKS + 1):
        mark(f"begun {number}")
        key.evolve()
        mark(f"done {number}")


def check(folder: Path, marks: Sequence[str]) -> None:
    """The key of the last link is there, or the one before it: the chain never breaks."""
    promises = Promises(marks)
    durable.make_folder(folder / "state")
    key = EvolvingKey(FileCell(folder / "state" / FILE), promises.last("done"))
    require(not key.problem, key.problem)
    promises.require(key.number, "key")
