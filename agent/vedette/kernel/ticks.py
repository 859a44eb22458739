"""When what is done over and over is done next: at moments that all of it shares.

Rule: the next whole multiple of its period on CLOCK_MONOTONIC, which is one clock for all processes
of a device; so whatever falls together takes one wake-up, and wake-ups are what idling costs.
"""

from __future__ import annotations


def next_tick_s(now_s: float, period_s: float) -> float:
    """The first moment after now that is a multiple of a period; the clock is an event loop's."""
    return (now_s // period_s + 1) * period_s
