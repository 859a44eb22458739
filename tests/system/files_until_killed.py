"""A responder on a file, killed before each of its lines and undone; prints how often.

Usage: files_until_killed.py quarantine|made_worse|made_a_link|removed FILE FOLDER

A program of its own: each kill takes a fork, which costs a process of pytest, with all tests of the
project in its memory, several times what it costs a small one.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tests.simulators.file_state import context, file_state, order_on
from tests.simulators.good_files import MemoryBaseline, MemoryGoodCopies, record_of

from vedette.model.response import Order, ResponseStatus, UndoRecord
from vedette.ports.responder import Responder
from vedette.responses import quarantine as quarantine_module
from vedette.responses.quarantine import Quarantine
from vedette.responses.restore_file import RestoreFile

OURS = str(Path(quarantine_module.__file__).parent)
ONLY_LOOKS = ("_place.py", "_file_users.py", "_file_outcome.py")
"""They change nothing, and are most of the lines."""
STEPS_MAX = 5000
EVERY_UNDO_LINE = 3
"""Undos of states from every line are cut off at one line in three: 40,000 would take minutes."""


class Killer:
    """Ends this process with SIGKILL before the n-th line of the responders' modules."""

    def __init__(self, line: int) -> None:
        self._left = line

    def __call__(self, frame: FrameType, event: str, _: Any) -> Killer | None:
        file = frame.f_code.co_filename
        if not file.startswith(OURS) or file.endswith(ONLY_LOOKS):
            return None
        if event == "line":
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def is_killed(step: Callable[[], object], line: int) -> bool:
    """Run a step in a child that is killed before a line; False when it ran through."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.settrace(Killer(line))
            step()
            sys.settrace(None)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the step raised"
    return os.WIFSIGNALED(status)


class Story:
    """Acts and undoes of one responder, cut off anywhere.

    Args:
        make: a new instance, as after a restart.
        check: that all is as it was before the response.
    """

    def __init__(
        self, make: Callable[[], Responder], order: Order, check: Callable[[], None]
    ) -> None:
        self._make = make
        self._order = order
        self._check = check

    def play(self) -> int:
        """Kill `act` before every line and undo it, then `undo`; returns how often it killed."""
        in_act = next(line for line in range(STEPS_MAX) if not self._act_killed(line))
        in_undo = next(line for line in range(STEPS_MAX) if not self._undo_killed(line))
        return in_act + in_undo

    def _act_killed(self, line: int) -> bool:
        record = self._make().plan(self._order)
        was_killed = is_killed(lambda: self._make().act(self._order, record), line)
        if line % EVERY_UNDO_LINE == 0:
            is_killed(lambda: self._make().undo(self._order, record), 2 * line)
        self._undo(record)
        return was_killed

    def _undo_killed(self, line: int) -> bool:
        record = self._make().plan(self._order)  # a copy that came back is a file of its own
        outcome = self._make().act(self._order, record)
        assert outcome.status is ResponseStatus.DONE, outcome
        was_killed = is_killed(lambda: self._make().undo(self._order, record), line)
        self._undo(record)
        return was_killed

    def _undo(self, record: UndoRecord) -> None:
        outcome = self._make().undo(self._order, record)
        assert outcome.status is ResponseStatus.UNDONE, outcome
        self._check()


def quarantined(file: Path, folder: Path) -> int:
    """Quarantine a file; returns how often that was killed."""
    before = file_state(file)

    def check() -> None:
        assert file_state(file) == before
        assert list(file.parent.iterdir()) == [file]
        assert list((folder / "state").iterdir()) == []

    return Story(lambda: Quarantine(context(folder)), order_on(file), check).play()


def made_worse(file: Path) -> None:
    """Other content, of another owner."""
    file.write_bytes(b"evil = yes")
    os.chown(file, 3, 4)


def made_a_link(file: Path) -> None:
    """A link to nowhere in its place."""
    file.unlink()
    file.symlink_to("/nowhere")


def removed(file: Path) -> None:
    """Nothing in its place."""
    file.unlink()


HARMS: dict[str, Callable[[Path], None]] = {
    harm.__name__: harm for harm in (made_worse, made_a_link, removed)
}


def restored(file: Path, folder: Path, harm: Callable[[Path], None]) -> int:
    """Harm a file and restore it; returns how often that was killed."""
    copies = MemoryGoodCopies()
    copies.take(file)
    baseline = MemoryBaseline(record_of(file))
    harm(file)
    before = {path.name: file_state(path) for path in file.parent.iterdir()}

    def check() -> None:
        assert {path.name: file_state(path) for path in file.parent.iterdir()} == before
        assert list((folder / "state").iterdir()) == []

    def make() -> Responder:
        return RestoreFile(context(folder, baseline=baseline, good_copies=copies))

    return Story(make, order_on(file, responder="restore_file"), check).play()


def main(what: str, file: Path, folder: Path) -> int:
    """Play one story; returns how often it was killed."""
    if what == "quarantine":
        return quarantined(file, folder)
    return restored(file, folder, HARMS[what])


if __name__ == "__main__":
    sys.stdout.write(f"{main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))}\n")
