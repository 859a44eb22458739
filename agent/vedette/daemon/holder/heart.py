"""What the guardian hears of the holder: "busy" before it reads an event, then a beat, then "idle".

Rule: the holder tells that it is busy before it takes an event and that it is idle only when all
are answered; so whenever somebody waits, the guardian counts, and nobody wakes up while nothing is.
"""

from __future__ import annotations

import os

BUSY = b"B"
IDLE = b"I"
ENDED = b"E"
BEAT_S = 0.1
"""A fifth of what the guardian waits."""


class Heart:
    """The holder's end of the pipe (nonblocking).

    Attributes:
        is_busy: the guardian is waiting for beats.
    """

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._told_s = 0.0
        self.is_busy = False

    def beat(self, at_s: float) -> None:
        """Say that the loop turns; seldom enough to cost nothing."""
        if not self.is_busy or at_s - self._told_s >= BEAT_S:
            self.is_busy = True
            self._told_s = at_s
            self._tell(BUSY)

    def rest(self) -> None:
        """Everybody is answered and nobody came for a while."""
        self.is_busy = False
        self._tell(IDLE)

    def end(self) -> None:
        """The holder ends as it was asked to."""
        self._tell(ENDED)

    def _tell(self, word: bytes) -> None:
        try:
            os.write(self._pipe, word)
        except BlockingIOError:
            return  # a guardian that hears nothing any more: the sentinel sees that it is stopped
