"""When a ring is read next: at once after calm, so that a response begins soon; seldom in a storm.

Rule: what one wake-up costs (some 25 us) is shared by as many records as come in between.
"""

from __future__ import annotations

from typing import Final

STORM_S: Final = 0.01
QUICK_S: Final = 0.002
"""A response to what came right after another record waits for so long at most."""
STORM_PER_S: Final = 4000
"""Records, two of each execution: at so many, wake-ups every QUICK_S would cost 6 us for each."""


class Pace:
    """Of one ring; all moments are seconds of one clock."""

    def __init__(self) -> None:
        self.pause_s = QUICK_S
        self._read_at_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """How long the next reading has to wait yet; 0 or less: not at all."""
        return self._read_at_s + self.pause_s - now_s

    def read(self, now_s: float, count: int) -> None:
        """So many records were read; none changes nothing."""
        if count:
            is_storm = count > STORM_PER_S * (now_s - self._read_at_s)
            self.pause_s = STORM_S if is_storm else QUICK_S
            self._read_at_s = now_s
