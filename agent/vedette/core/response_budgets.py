"""How many responses there may be in an hour: per account, counted in the inputs' own time.

Rule: bounded: an account remembers as many moments as its limit, there are at most MAX_ACCOUNTS of
them, and the one unused for longest is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict, deque

HOUR_S = 3600.0
MAX_ACCOUNTS = 1024


class ResponseBudgets:
    """Sliding windows of an hour."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[tuple[object, ...], deque[float]] = OrderedDict()

    def take(self, at_s: float, *accounts: tuple[tuple[object, ...], int]) -> tuple[object, ...]:
        """Count one response in all accounts, or in none of them.

        Args:
            accounts: name and how many an hour may hold, each.

        Returns:
            The name of the first account that is used up, () when it was counted.
        """
        for name, limit in accounts:
            moments = self._accounts.get(name)
            if moments is not None and _within(moments, at_s) >= limit:
                return name
        for name, _ in accounts:
            self._accounts.setdefault(name, deque()).append(at_s)
            self._accounts.move_to_end(name)
        while len(self._accounts) > MAX_ACCOUNTS:
            self._accounts.popitem(last=False)
        return ()


def _within(moments: deque[float], at_s: float) -> int:
    """How many there were in the last hour; forgets the others."""
    while moments and at_s - moments[0] >= HOUR_S:
        moments.popleft()
    return len(moments)
