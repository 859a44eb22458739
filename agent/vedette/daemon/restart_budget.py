"""How long a failed part has to wait before it is started again.

Rule 1: up to MOST_FAILURES within WINDOW_S are forgiven at once; from then on each failure doubles
the pause up to LONGEST_PAUSE_S, so that a part that cannot run does not wear the device out.
Rule 2: a part that ran for CALM_S has earned a fresh budget.
Rule 3: no clock: times are given, in seconds of one monotonic clock.
"""

from __future__ import annotations

WINDOW_S = 60.0
MOST_FAILURES = 5
CALM_S = 60.0
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 300.0


class RestartBudget:
    """The failures of one part."""

    def __init__(self) -> None:
        self._failures: list[float] = []
        self._pause_s = 0.0
        self.restarts = 0

    def failed(self, started_s: float, ended_s: float) -> float:
        """Count a failure.

        Returns:
            Seconds to wait before the next start; 0.0 while the budget lasts.
        """
        if ended_s - started_s >= CALM_S:
            self._failures.clear()
            self._pause_s = 0.0
        self.restarts += 1
        recent = [at_s for at_s in self._failures if ended_s - at_s < WINDOW_S]
        self._failures = [*recent[-MOST_FAILURES:], ended_s]
        if self._pause_s or len(self._failures) > MOST_FAILURES:
            self._pause_s = min(max(FIRST_PAUSE_S, 2 * self._pause_s), LONGEST_PAUSE_S)
        return self._pause_s
