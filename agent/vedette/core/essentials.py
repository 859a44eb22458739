"""Essential functions: which response broke one.

Rule 1: a function that was up and is down is blamed on every response that was asked for since it
was seen up last (and SLACK_S before: a probe takes its time); on none when there was none.
Rule 2: one that was never seen up blames nobody.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from vedette.model.response import Order

SLACK_S = 5.0
MAX_RECENT = 64
MAX_FUNCTIONS = 64


class Verdict(NamedTuple):
    """What a probe means.

    Attributes:
        is_news: the function has changed its state since the probe before.
        suspects: responses that may have broken it, newest first.
    """

    is_news: bool
    suspects: tuple[Order, ...]


class Essentials:
    """The declared functions as the probes saw them, and what was done lately."""

    def __init__(self) -> None:
        self._up_s: dict[str, float] = {}
        self._down: set[str] = set()
        self._recent: deque[tuple[float, Order]] = deque(maxlen=MAX_RECENT)

    @property
    def are_known(self) -> bool:
        """Whether any function was probed yet."""
        return bool(self._up_s or self._down)

    def acted(self, order: Order, at_s: float) -> None:
        """A response is being carried out."""
        self._recent.append((at_s, order))

    def undone(self, response_id: str) -> None:
        """A response is not in force, or no longer, so it breaks nothing from now on."""
        kept = [one for one in self._recent if one[1].response_id != response_id]
        self._recent = deque(kept, maxlen=MAX_RECENT)

    def probed(self, name: str, at_s: float, *, is_up: bool) -> Verdict:
        """Take what a probe found."""
        was_down = name in self._down
        if is_up:
            if name in self._up_s or len(self._up_s) < MAX_FUNCTIONS:
                self._up_s[name] = at_s
            self._down.discard(name)
            return Verdict(was_down, ())
        if not was_down and len(self._down) < MAX_FUNCTIONS:
            self._down.add(name)
        up_s = self._up_s.get(name)
        if was_down or up_s is None:
            return Verdict(not was_down, ())
        suspects = [order for done_s, order in self._recent if done_s >= up_s - SLACK_S]
        return Verdict(is_news=True, suspects=tuple(reversed(suspects)))
