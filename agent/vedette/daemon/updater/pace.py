"""How fast bytes may come, and how slowly.

Rule 1: a limit is kept by waiting between reads; a server is never asked to be slower.
Rule 2: a server that gives less than a trickle over a minute is left: it would hold an update for
days. Time that we waited ourselves does not count against it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from vedette.codec.install_link import MAX_DATA_BYTES
from vedette.core.token_bucket import TokenBucket
from vedette.errors import FetchError

WINDOW_S = 60.0
TRICKLE_BYTES_S = 512
"""A quarter of what the slowest modem link in use still carries."""
SMALLEST_PIECE = 1024
PIECES_A_SECOND = 8


class Pace:
    """Of one updater, over all its requests.

    Args:
        limit_bytes_s: bandwidth; 0 for no limit.
        window_s: over which a trickle is told from a pause.
        clock, sleep: of this process.
    """

    def __init__(
        self,
        limit_bytes_s: int = 0,
        *,
        window_s: float = WINDOW_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bucket = TokenBucket(limit_bytes_s)
        self._window_s, self._clock, self._sleep = window_s, clock, sleep
        trickle = min(TRICKLE_BYTES_S, limit_bytes_s // 2) if limit_bytes_s else TRICKLE_BYTES_S
        self._least = int(trickle * window_s)
        self.piece_bytes = MAX_DATA_BYTES
        if limit_bytes_s:
            piece = max(SMALLEST_PIECE, limit_bytes_s // PIECES_A_SECOND)
            self.piece_bytes = min(piece, MAX_DATA_BYTES)
        self._from_s, self._got = clock(), 0

    def begin(self) -> None:
        """A new request: its window begins now."""
        self._from_s, self._got = self._clock(), 0

    def took(self, count: int) -> None:
        """So many bytes came; returns when the next may.

        Raises:
            FetchError: over the last window it was less than a trickle.
        """
        now_s = self._clock()
        self._got += count
        if now_s - self._from_s >= self._window_s:
            if self._got < self._least:
                raise FetchError(
                    f"the server is too slow: expected {self._least} bytes in "
                    f"{self._window_s:.0f} s, got {self._got}"
                )
            self._from_s, self._got = now_s, 0
        wait_s = self._bucket.take(count, now_s)
        if wait_s:
            self._sleep(wait_s)
            self._from_s += wait_s
