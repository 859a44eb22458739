"""The open groups of one correlation, in two generations: what is not touched is forgotten whole.

Rule 1: a group's hit makes it young. When a timespan has passed since the young generation began,
the old one holds only what has left every window, and is dropped.
Rule 2: when room is short the old generation is dropped before its time; its groups are counted as
evicted, though some would have ended by themselves.
A hit costs one or two look-ups and a store; nothing is ever sorted or searched.
"""

from __future__ import annotations

from vedette.core.windows import SKEW_S, Hit, State, Window


class Groups:
    """States by group.

    Args:
        window: how the correlation counts.
        timespan_s: the length of its window.

    Attributes:
        evicted: groups forgotten for want of room.
    """

    __slots__ = (
        "_began_s", "_old", "_old_bytes", "_span_s", "_window", "_young", "evicted", "young_bytes",
    )  # fmt: skip

    def __init__(self, window: Window, timespan_s: float) -> None:
        self._window = window
        self._span_s = timespan_s + SKEW_S
        self._began_s = 0.0
        self._young: dict[str, State] = {}
        self._old: dict[str, State] = {}
        self._old_bytes = 0
        self.young_bytes = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    @property
    def size_bytes(self) -> int:
        """What all groups take, as their window estimates it."""
        return self.young_bytes + self._old_bytes

    def add(self, key: str, hit: Hit) -> tuple[int, State]:
        """Count a hit of a group, which begins with it if need be; what it counts now."""
        if hit.at_s - self._began_s > self._span_s:
            self._grow_old()
            self._began_s = hit.at_s
        size_bytes = self._window.size_bytes
        state = self._young.get(key)
        if state is not None:
            before_bytes = size_bytes(state)
        else:
            before_bytes = 0
            state = self._rejuvenated(key)
        count = self._window.add(state, hit)
        self.young_bytes += size_bytes(state) - before_bytes
        return count, state

    def shed(self) -> None:
        """Make room: forget what was not touched for longest."""
        self.evicted += len(self._old)
        self._grow_old()

    def _rejuvenated(self, key: str) -> State:
        state = self._old.pop(key, None)
        if state is None:
            state = self._window.open()
        else:
            self._old_bytes -= self._window.size_bytes(state)
        self._young[key] = state
        return state

    def _grow_old(self) -> None:
        self._old, self._young = self._young, {}
        self._old_bytes, self.young_bytes = self.young_bytes, 0
