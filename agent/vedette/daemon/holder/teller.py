"""Tells the sentinel what was decided, bounded: a flood of executions is no flood of reports.

Rule 1: a file is told at once, then counted and told again at most every AGAIN_S; all files
together at most PER_S a second. What was left out is a gap, and told as one.
Rule 2: telling never waits: what the sentinel does not take in time is counted too.
"""

from __future__ import annotations

import os
from time import monotonic

from vedette.codec.holder_reports import Decision, Gap, encode_report
from vedette.model.denial import UNTOLD

AGAIN_S = 10.0
PER_S = 20
FILES_MAX = 512
GAPS_S = 1.0


class Teller:
    """The way to the sentinel; `socket` is a nonblocking SOCK_SEQPACKET."""

    def __init__(self, socket: int) -> None:
        self._socket = socket
        self._files: dict[tuple[tuple[int, int], int], list[float]] = {}
        self._second = 0
        self._told = 0
        self._gaps: dict[int, int] = {}
        self._gaps_due_s = 0.0

    @property
    def has_gaps(self) -> bool:
        """Whether `tell_gaps` has something to say."""
        return bool(self._gaps)

    def decided(self, file: tuple[int, int], decision: Decision) -> None:
        """Tell of a decision, or count it."""
        at_s = monotonic()
        key = (file, decision.reason)
        row = self._files.get(key)
        if row is None:
            if len(self._files) >= FILES_MAX:
                del self._files[next(iter(self._files))]
            row = self._files[key] = [-AGAIN_S, 0.0]
        row[1] += 1
        if at_s - row[0] < AGAIN_S:
            return
        if not self._has_room(at_s):
            self.missed(UNTOLD)
            return
        decision.count = int(row[1])
        row[0], row[1] = at_s, 0.0
        if not self.tell(decision):
            self.missed(UNTOLD, decision.count)

    def missed(self, reason: int, count: int = 1) -> None:
        """Count executions that nobody judged, or reports that nobody got."""
        self._gaps[reason] = self._gaps.get(reason, 0) + count

    def tell_gaps(self, at_s: float) -> None:
        """Tell the gaps, at most once a second."""
        if not self._gaps or at_s < self._gaps_due_s:
            return
        self._gaps_due_s = at_s + GAPS_S
        gaps, self._gaps = self._gaps, {}
        for reason, count in gaps.items():
            if not self.tell(Gap(reason, min(count, 0xFFFF_FFFF))):
                self.missed(reason, count)

    def tell(self, report: object) -> bool:
        """Send one report; False where the sentinel has not taken the ones before."""
        try:
            os.write(self._socket, encode_report(report))
        except (BlockingIOError, BrokenPipeError):  # who is gone is seen by the loop
            return False
        return True

    def _has_room(self, at_s: float) -> bool:
        if int(at_s) != self._second:
            self._second, self._told = int(at_s), 0
        self._told += 1
        return self._told <= PER_S
