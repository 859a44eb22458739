"""One pass of the scanner over the trees, as the sentinel's worker thread sees it.

Rule 1: a first pass becomes the baseline whole or not at all; later ones only tell differences and
take over inode and times of files whose content was read and is as expected.
Rule 2: memory is bounded: differences are handed on in batches, and the next is read when the last
was taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from vedette.codec.scan_stream import Differs, Finished, Found, Message, Skipped
from vedette.errors import SensorError, StoreError
from vedette.model.baseline import Difference, FileRecord, ScanCounts
from vedette.ports.baseline import Baseline
from vedette.sensors._scanner_process import ScannerProcess

SLICES: Final = 28
"""Every file is read whole within a week at one scan in six hours."""
TURN_FILE: Final = "scan.turn"
BATCH: Final = 256
REFRESHED: Final = 2000  # about 1 MB
SKIPPED_KEPT: Final = 20
NOTHING: Final = ScanCounts(0, 0, 0, 0, 0)

Deliver = Callable[[Sequence[Difference]], None]


class Outcome(NamedTuple):
    """What a pass did; `failure` is "" when it is whole.

    `is_first` says that its files became the baseline; `skipped` holds the first few of what could
    not be judged, each with its reason.
    """

    is_first: bool
    counts: ScanCounts
    skipped: tuple[str, ...]
    failure: str


class ScanPass:
    """One pass; `run` belongs into a worker thread, `kill` may be called from any.

    Args:
        deliver: takes differences; blocks until they are taken.
    """

    def __init__(
        self, roots: Sequence[str], state_dir: Path, baseline: Baseline, deliver: Deliver
    ) -> None:
        self._roots = roots
        self._state_dir = state_dir
        self._baseline = baseline
        self._deliver = deliver
        self._process: ScannerProcess | None = None
        self._is_killed = False
        self._counts = NOTHING
        self._skipped = [f"{root}: it does not exist" for root in roots if not _exists(root)]

    def kill(self) -> None:
        """End the pass early; its outcome says so."""
        self._is_killed = True
        if self._process is not None:
            self._process.kill()

    def run(self) -> Outcome:
        """Scan, compare, store; every failure is part of the outcome."""
        is_first, failure = False, ""
        try:
            is_first = self._baseline.is_empty()
            if is_first:
                self._baseline.replace(self._records(self._messages(None)))
            else:
                self._compare(self._messages(self._state_dir))
        except (SensorError, StoreError) as error:
            failure = str(error)
        except (OSError, ValueError) as error:
            failure = f"scan: {error}"
        skipped = tuple(self._skipped[:SKIPPED_KEPT])
        return Outcome(is_first and not failure, self._counts, skipped, failure)

    def _messages(self, state_dir: Path | None) -> Iterator[Message]:
        turn = _next_turn(self._state_dir / TURN_FILE)
        self._process = ScannerProcess(self._roots, state_dir, turn, SLICES)
        if self._is_killed:
            self._process.kill()
        for message in self._process.messages():
            if isinstance(message, Finished):
                self._counts = message.counts
            elif isinstance(message, Skipped):
                if len(self._skipped) < SKIPPED_KEPT:
                    self._skipped.append(f"{message.path}: {message.reason}")
            else:
                yield message

    def _records(self, messages: Iterator[Message]) -> Iterator[FileRecord]:
        for message in messages:
            if not isinstance(message, Found):
                raise SensorError(f"scan: expected files in a first scan, got {message!r}")
            yield message.record

    def _compare(self, messages: Iterator[Message]) -> None:
        found: list[Difference] = []
        refreshed: list[FileRecord] = []
        for message in messages:
            if isinstance(message, Differs):
                found.append(message.difference)
            elif isinstance(message, Found):
                refreshed.append(message.record)
            if len(found) >= BATCH:
                self._deliver(found)
                found = []
            if len(refreshed) >= REFRESHED:
                self._baseline.accept(refreshed, ())
                refreshed = []
        if found:
            self._deliver(found)
        if refreshed:
            self._baseline.accept(refreshed, ())


def _exists(path: str) -> bool:
    return os.path.lexists(path)


def _next_turn(path: Path) -> int:
    """The number of this scan; a lost count costs a repeated slice, so nothing is synced."""
    try:
        turn = int(path.read_text("ascii")) + 1
    except (OSError, ValueError):
        turn = 0
    try:
        path.write_text(str(turn % SLICES), "ascii")
    except OSError:
        # A disk that takes nothing: without memory of turns, take them by chance.
        return int.from_bytes(os.urandom(2), "little") % SLICES
    return turn
