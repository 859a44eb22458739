"""Lets a thread that must be quick have the interpreter soon, while the agent judges a storm.

Rule: each system call gives the interpreter up, and whoever computes gives it back after the switch
interval alone (sys.setswitchinterval, 5 ms by default): twenty calls would wait for 0.1 s.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Final

QUICK_S: Final = 0.0001
_lock = threading.Lock()
_before: list[float] = []
"""What each that is in a hurry now found; the last to leave puts the first one's back."""


@contextlib.contextmanager
def in_haste() -> Iterator[None]:
    """Wait for the interpreter no longer than QUICK_S at a time; several threads may be in it."""
    with _lock:
        _before.append(sys.getswitchinterval())
        sys.setswitchinterval(QUICK_S)
    try:
        yield
    finally:
        with _lock:
            if len(_before) == 1:
                sys.setswitchinterval(_before[0])
            _before.pop()
