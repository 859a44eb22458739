"""What a day's sending may cost, and who has to wait when it is short.

Rule 1: the lesser a severity, the earlier it waits for the next day; critical ones never wait.
Rule 2: a day is DAY_S of running, whatever the wall clock says: a restart goes on in the same day,
and a clock that steps back begins its length anew without refilling it.
"""

from __future__ import annotations

from vedette.model.finding import Severity
from vedette.model.journal import Spent

DAY_S = 86400.0
TRANSPORT_BYTES = 130
"""What a message costs beside its packet: TLS record, PUBACK, and the TCP/IP headers of both."""

_SHARES = {
    Severity.HIGH: 1.0,
    Severity.MEDIUM: 0.9,
    Severity.LOW: 0.75,
    Severity.INFORMATIONAL: 0.5,
}
"""Of the day's bytes."""


class DataBudget:
    """The present day's account.

    Args:
        limit_bytes: a day; 0 means no limit.
        before: of the day that an earlier process began.
    """

    def __init__(self, limit_bytes: int, before: Spent) -> None:
        self.limit_bytes = limit_bytes
        self.spent_bytes = before.size_bytes
        self._passed_s = min(before.day_s, int(DAY_S))
        self._began_s: float | None = None

    @property
    def ends_s(self) -> float | None:
        """When the next day begins; None before the clock was first told."""
        return None if self._began_s is None else self._began_s + DAY_S

    def tell_time(self, now_s: float) -> bool:
        """Learn the time, of any clock that does not jump; whether a new day has begun."""
        if self._began_s is None:
            self._began_s = now_s - self._passed_s
        self._began_s = min(self._began_s, now_s)
        if now_s - self._began_s < DAY_S:
            return False
        self._began_s, self.spent_bytes = now_s, 0
        return True

    def spend(self, size_bytes: int) -> None:
        """Count one message of this size, which its way makes larger."""
        self.spent_bytes += size_bytes + TRANSPORT_BYTES

    def allows(self, severity: Severity, size_bytes: int) -> bool:
        """Whether a message may still go today."""
        if not self.limit_bytes or severity >= Severity.CRITICAL:
            return True
        share = _SHARES[severity] * self.limit_bytes
        return self.spent_bytes + size_bytes + TRANSPORT_BYTES <= share

    def spent(self, now_s: float) -> Spent:
        """The account as the next process needs it."""
        if self._began_s is None:
            return Spent(self.spent_bytes, self._passed_s)
        return Spent(self.spent_bytes, max(0, int(now_s - self._began_s)))
