"""Notices that the wall clock was set.

Rule: the wall clock and the time since boot run side by side. A time service slews by at most
500 ppm (adjtimex(2)), which is 5 ms in ten seconds; what differs by more was set by somebody.
"""

from __future__ import annotations

from typing import Final

STEP_S: Final = 1.0
"""A smaller step harms no evidence, and a coarse device clock may make one by itself."""


class ClockWatch:
    """Compares the two clocks.

    Args:
        boot_s: CLOCK_BOOTTIME in seconds.
        wall_s: Unix time of the same moment.
    """

    def __init__(self, boot_s: float, wall_s: float) -> None:
        self._offset_s = wall_s - boot_s

    def stepped_s(self, boot_s: float, wall_s: float) -> float:
        """By how many seconds the wall clock was set since the last look; 0.0 where it was not."""
        before, self._offset_s = self._offset_s, wall_s - boot_s
        step_s = self._offset_s - before
        return step_s if abs(step_s) >= STEP_S else 0.0
