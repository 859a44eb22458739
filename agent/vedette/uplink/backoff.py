"""Pauses between attempts: exponential, with full jitter, so that a fleet returns one by one."""

from __future__ import annotations

from collections.abc import Callable

STABLE_S = 60.0
"""A session that lasted so long was a good one: the next failure starts from the beginning."""


class Backoff:
    """Counts failures.

    Args:
        first_s: upper bound of the first pause.
        cap_s: upper bound of all pauses.
        chance: gives a number in [0, 1), such as `random.random`.
    """

    def __init__(self, first_s: float, cap_s: float, chance: Callable[[], float]) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._chance = chance
        self._bound_s = first_s

    def next_s(self, lasted_s: float) -> float:
        """The pause after a session that lasted so long (0 if it never came up)."""
        if lasted_s >= STABLE_S:
            self._bound_s = self._first_s
        bound_s = min(self._bound_s, self._cap_s)
        self._bound_s = min(bound_s * 2, self._cap_s)
        return self._chance() * bound_s
