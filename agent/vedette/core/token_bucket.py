"""How long to wait so that bytes do not come faster than a limit.

Rule: a bucket holds a second's worth; what it lacks is waited for, so that any stretch of time sees
at most the limit times its length and one second's worth more.
"""

from __future__ import annotations


class TokenBucket:
    """Counts bytes against a rate.

    Args:
        bytes_s: the limit; 0 for none.
    """

    def __init__(self, bytes_s: int) -> None:
        self._rate = bytes_s
        self._held = float(bytes_s)
        self._seen_s: float | None = None

    def take(self, count: int, now_s: float) -> float:
        """Take so many bytes out.

        Args:
            count: from 0; more than a second's worth is taken too, and waited for.
            now_s: of a clock that does not go back; where it does, no time has passed.

        Returns:
            Seconds to wait before the next bytes.
        """
        if not self._rate:
            return 0.0
        passed_s = 0.0 if self._seen_s is None else max(0.0, now_s - self._seen_s)
        self._seen_s = now_s
        self._held = min(self._held + passed_s * self._rate, float(self._rate)) - count
        return max(0.0, -self._held / self._rate)
