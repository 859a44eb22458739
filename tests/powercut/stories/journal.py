"""The journal: entries, deliveries, pruning, its state, its tip."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.powercut.story import Mark, Promises, require
from tests.simulators.signing import signer

from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft, Spent
from vedette.store.journal_core import JournalCore
from vedette.store.journal_place import JournalPlace
from vedette.store.state import FileState

ENTRIES = 60
LIMIT_BYTES = 40_000
"""So small that what was delivered is pruned meanwhile."""
DELIVERED_BEHIND = 3
_WALL_S = 1_790_000_000.0


def play(folder: Path, mark: Mark) -> None:
    """Entries, each promised when its append returns; deliveries; a restart in the middle."""
    (folder / "run").mkdir()
    core = _start(folder)
    for number in range(1, ENTRIES + 1):
        if number == ENTRIES // 2:
            core.close(0.0)
            core = _start(folder)
        mark(f"begun {number}")
        ((entry,),) = core.append([[_draft(number)]], 0.0)
        mark(f"sequence {entry.sequence}")
        mark(f"done {number}")
        if number % 5 == 0:
            mark(f"delivered {number - DELIVERED_BEHIND}")
            core.mark_delivered(entry.sequence - DELIVERED_BEHIND, Spent(0, 0), 0.0)
    core.close(0.0)


def check(folder: Path, marks: Sequence[str]) -> None:
    """Every promised entry waits or was delivered, in one chain, and no number comes twice."""
    promises = Promises(marks)
    (folder / "run").mkdir(exist_ok=True)
    with closing(_Started(folder)) as started:
        core = started.core
        status = core.status()
        require(not status.is_degraded, status.reason)
        require(not core.reports or not promises.last("done"), f"{core.reports}")
        kept = [entry for entry in core.outbox(0, 10_000) if entry.draft.kind == "incident"]
        numbers = [int(entry.draft.body.split(b" ", 1)[0]) for entry in kept]
        newest = max(numbers, default=0)
        if not numbers and promises.last("delivered"):
            newest = promises.last("done")
        promises.require(newest, "newest entry")
        missing = set(range(promises.last("delivered") + 1, newest + 1)) - set(numbers)
        require(not missing, f"undelivered entries are lost: {sorted(missing)}")
        require(numbers == sorted(set(numbers)), f"expected each entry once, got {numbers}")
        ((entry,),) = core.append([[_draft(0, kind="probe")]], 0.0)
        require(entry.sequence > promises.last("sequence"), f"sequence {entry.sequence} again")


class _Started:
    """The journal of a start, closed as a kill leaves it: nothing more is written."""

    def __init__(self, folder: Path) -> None:
        self.core = _start(folder)

    def close(self) -> None:
        self.core._let_go()


def _draft(number: int, kind: str = "incident") -> EntryDraft:
    severity = Severity.CRITICAL if number % 7 == 0 else Severity.MEDIUM
    body = b"%d " % number + b"x" * (number * 37 % 900)
    return EntryDraft(kind, severity, _WALL_S, body, "up/finding", "", False)


def _start(folder: Path) -> JournalCore:
    place = JournalPlace(folder / "state", folder / "run", "b" * 32, LIMIT_BYTES)
    core = JournalCore(
        place, state=FileState(folder / "state"), signer=signer(1), wall=lambda: _WALL_S
    )
    core.open(0.0)
    return core
