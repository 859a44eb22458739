"""Turns missing serial numbers into counts, although numbers may come a little out of order.

Rule: a number that has not come is missing; it is lost once SETTLE_NUMBERS later ones came or it
has been missing for SETTLE_S, since processors write records side by side.
"""

from __future__ import annotations

from typing import Final

SETTLE_NUMBERS: Final = 256
SETTLE_S: Final = 1.0
MAX_MISSING: Final = 4096
"""A wider gap is counted at once, so that memory stays bounded."""
_HALF: Final = 1 << 31
_MASK: Final = (1 << 32) - 1


class SerialGaps:
    """Watches one sequence of 32-bit numbers, which may wrap."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._missing: dict[int, float] = {}
        self._lost = 0

    @property
    def missing(self) -> int:
        """How many numbers have not come and are not yet counted as lost."""
        return len(self._missing)

    def note(self, serial: int, now_s: float) -> None:
        """Take one number; the same one may come again."""
        last = self._last
        if serial == last:
            return
        if last is None:
            self._last = serial
            return
        ahead = (serial - last) & _MASK
        if ahead >= _HALF:
            self._missing.pop(serial, None)
            return
        self._last = serial
        if ahead > 1:
            self._miss(last, ahead - 1, now_s)

    def take_lost(self, now_s: float) -> int:
        """How many numbers turned out to be lost since the last call."""
        last = self._last
        if self._missing and last is not None:
            for serial, since_s in list(self._missing.items()):
                if now_s - since_s < SETTLE_S and (last - serial) & _MASK < SETTLE_NUMBERS:
                    break
                del self._missing[serial]
                self._lost += 1
        lost, self._lost = self._lost, 0
        return lost

    def _miss(self, last: int, count: int, now_s: float) -> None:
        if count + len(self._missing) > MAX_MISSING:
            self._lost += count
            return
        for step in range(1, count + 1):
            self._missing[(last + step) & _MASK] = now_s
