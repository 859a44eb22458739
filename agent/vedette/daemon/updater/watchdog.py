"""Ends a connection on which nothing has been finished for too long.

A socket's own timeout begins anew with each byte: a server that sends one a minute would hold a
handshake, a header or a chunk's length for years.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_S = 0.5


class Watchdog:
    """One thread, that looks twice a second whether the present step is late.

    Args:
        look_s: how often it looks.
    """

    def __init__(self, look_s: float = LOOK_S) -> None:
        self._look_s = look_s
        self._late_s: float | None = None
        self._end: Callable[[], None] = _nothing
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextmanager
    def limit(self, seconds: float, end: Callable[[], None]) -> Iterator[None]:
        """Let `end` be called, in another thread, if the block takes longer than so many seconds.

        Raises:
            TimeoutError: it did, and the block ended without an error of its own.
        """
        self._end, self._late_s = end, time.monotonic() + seconds
        try:
            yield
            if self._late_s is None:
                raise TimeoutError(f"not finished within {seconds:g} s")
        finally:
            self._late_s = None

    def close(self) -> None:
        """Let the thread end."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(self._look_s):
            late_s = self._late_s
            if late_s is not None and time.monotonic() > late_s:
                self._late_s = None
                with contextlib.suppress(OSError, AttributeError):  # closed in this very moment
                    self._end()


def _nothing() -> None:
    """Before the first step."""
