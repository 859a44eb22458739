"""Turns missing serial numbers into counts, although numbers may come late and out of order.

Rule 1: a number that has not come is missing; it is lost SETTLE_S after it was first missed.
Rule 2: gaps are kept as ranges, at most MAX_RANGES; the oldest is counted as lost to make room.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SETTLE_S: Final = 1.0
"""Processors write records side by side; what is a second late was dropped."""
MAX_RANGES: Final = 256
_HALF: Final = 1 << 31
_MASK: Final = (1 << 32) - 1


class _Range(NamedTuple):
    """`size` numbers from `first` on, missed since `since_s`."""

    first: int
    size: int
    since_s: float


class SerialGaps:
    """Watches one sequence of 32-bit numbers, which may wrap."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._ranges: list[_Range] = []
        self._lost = 0

    @property
    def missing(self) -> int:
        """How many numbers have not come and are not yet counted as lost."""
        return sum(gap.size for gap in self._ranges)

    def note(self, serial: int, now_s: float) -> None:
        """Take one number (0 to 2**32 - 1); the same one may come again."""
        last = self._last
        if serial == last:
            return
        ahead = 1 if last is None else (serial - last) & _MASK
        if ahead >= _HALF:
            self._found(serial)
            return
        self._last = serial
        if ahead > 1:
            self._ranges.append(_Range((serial - ahead + 1) & _MASK, ahead - 1, now_s))
            if len(self._ranges) > MAX_RANGES:
                self._lost += self._ranges.pop(0).size

    def take_lost(self, now_s: float) -> int:
        """How many numbers turned out to be lost since the last call."""
        for gap in [gap for gap in self._ranges if now_s - gap.since_s >= SETTLE_S]:
            self._ranges.remove(gap)
            self._lost += gap.size
        lost, self._lost = self._lost, 0
        return lost

    def wait_longer(self, now_s: float) -> None:
        """Begin the waiting time of all that is missing anew: it may still be on its way."""
        self._ranges = [gap._replace(since_s=now_s) for gap in self._ranges]

    def _found(self, serial: int) -> None:
        for index, gap in enumerate(self._ranges):
            before = (serial - gap.first) & _MASK
            if before < gap.size:
                rest = _Range((serial + 1) & _MASK, gap.size - before - 1, gap.since_s)
                halves = [gap._replace(size=before), rest]
                self._ranges[index : index + 1] = [half for half in halves if half.size]
                return
