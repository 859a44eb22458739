"""The processes of updates that were announced lately: they write below the agent's own folders.

Announced over the control socket (`update.begin`), each time with an entry of the journal; so a
stranger who calls himself an update is on record before he is believed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

RECENT_MAX = 16
"""Ended ones too: what tells of a write comes after its writer may have ended."""
_recent: deque[int] = deque(maxlen=RECENT_MAX)


def announce(pids: Iterable[int]) -> None:
    """These belong to an update from now on."""
    _recent.extend(pids)


def recent() -> frozenset[int]:
    """Those that were announced last."""
    return frozenset(_recent)
