"""Tries the states of a recorded story: lays each out on a disk in memory, and has it judged.

Rule 1: whatever `check` raises is a bad outcome; nothing is retried.
Rule 2: what a start mended must stay mended: every TWICE-th state is judged again after it, and
every NESTED-th is cut again while it is being mended.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.powercut import story
from tests.powercut.disk import Cut, write_image
from tests.powercut.exploration import State, explore
from tests.powercut.recording import Recording
from tests.powercut.story import Story
from tests.simulators.failing_disk import CHANGES

from vedette.store import durable

MEMORY: Final = Path("/dev/shm")
NESTED: Final = 5
TWICE: Final = 3
NESTED_CALLS: Final = 12
"""Changes of the disk after which the second cut comes, at most; few starts make more."""
SHOWN: Final = 3
"""Bad outcomes of a story that are told; all are counted."""
SHOWN_LINES: Final = 16


class PowerGoneError(BaseException):  # no store may catch it
    """The power is cut while a start mends what an earlier cut left."""


@dataclass(slots=True)
class Outcome:
    """What became of a story, or of a share of it.

    Attributes:
        cuts: cut points tried.
        states: distinct states recovered from.
        nested: of those, cut again while recovering.
        bad: how many ended badly.
        told: the first of those.
    """

    name: str
    cuts: int = 0
    states: int = 0
    nested: int = 0
    bad: int = 0
    told: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Count another share of the same story in."""
        self.cuts += other.cuts
        self.states += other.states
        self.nested += other.nested
        self.bad += other.bad
        self.told = (self.told + other.told)[:SHOWN]


class _StoppingDisk:
    """The system calls, until one of them is the last before the power goes."""

    def __init__(self, last: int) -> None:
        self._left = last

    def __getattr__(self, name: str) -> object:
        if name in CHANGES:
            self._left -= 1
            if self._left < 0:
                raise PowerGoneError
        return getattr(os, name)


def run(
    name: str,
    recording: Recording,
    quota: int,
    seed: int,
    share: tuple[int, int] = (0, 1),
    *,
    is_live: bool = False,
) -> Outcome:
    """Try a story.

    Args:
        name: of the story.
        recording: of it.
        quota: states of each cut point, at most.
        seed: of chance.
        share: the n-th of so many parts of the cut points.
        is_live: its `check` starts processes: each state is judged once, and not cut again.
    """
    played = story.load(name)
    number, count = share
    cuts = list(recording.disk().cuts(recording.operations))[number::count]
    outcome = Outcome(name, cuts=len(cuts))
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as made:
        for state in explore(cuts, quota, seed):
            outcome.states += 1
            is_nested = not is_live and outcome.states % NESTED == 0
            outcome.nested += is_nested
            chance = random.Random(f"{seed} {outcome.states}") if is_nested else None
            times = 2 if not is_live and outcome.states % TWICE == 0 else 1
            problem = _judge(played, recording, state, Path(made), chance, times)
            if problem:
                outcome.bad += 1
                if len(outcome.told) < SHOWN:
                    outcome.told.append(_told(name, seed, recording, cuts, state, problem))
    return outcome


def _judge(
    played: Story,
    recording: Recording,
    state: State,
    made: Path,
    chance: random.Random | None,
    times: int,
) -> str:
    """Why a state is bad; "" where it is good."""
    folder = made / "disk"
    folder.mkdir()
    if made.stat().st_mode & 0o777 == 0o700:
        made.chmod(0o711)  # some of our processes give up being root
    try:
        write_image(state.image, str(folder), recording.root)
        if chance is not None:
            _cut_again(played, folder, state.marks, chance)
        for _ in range(times):
            played.check(folder, state.marks)
    except Exception as error:  # noqa: BLE001 - whatever it is, the device did not come up well
        return f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(folder)
    return ""


def _cut_again(played: Story, folder: Path, marks: Sequence[str], chance: random.Random) -> None:
    """In a child, so that its descriptors and locks go with it, as with a device."""
    last = chance.randrange(NESTED_CALLS)
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            durable.disk = _StoppingDisk(last)  # type: ignore[assignment]
            played.check(folder, marks)
        os._exit(0)
    os.waitpid(child, 0)


def _told(
    name: str, seed: int, recording: Recording, cuts: Sequence[Cut], state: State, problem: str
) -> str:
    cut = next(found for found in cuts if found.done == state.done)
    last = recording.operations[state.done - 1] if state.done else "nothing yet"
    lines = [
        f"{name}: {problem}",
        f"  cut after operation {state.done} of {len(recording.operations)}: {str(last)[:160]}",
        f"  promised: {', '.join(state.marks[-4:]) or 'nothing'}",
        f"  to repeat: make powercut ARGS='--only {name} --seed {seed}'",
    ]
    lines += [
        f"    {fate!s:24} {str(change)[:110]}"
        for change, fate in zip(cut.pending, state.fates, strict=True)
    ]
    return "\n".join(lines[:SHOWN_LINES])
