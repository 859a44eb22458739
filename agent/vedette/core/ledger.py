"""The loss ledger: what came in, went out and was dropped, per stage and class.

Rule 1: nothing is lost in silence: every EventsLost passes here, and a finding carries the losses
of the WINDOW_S before it.
Rule 2: a loss of unknown size counts 0 and is still a loss: it is shown as "some".
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from vedette.model.event import EventClass, EventsLost
from vedette.model.finding import Loss

WINDOW_S = 60.0
MAX_LOSSES = 256


class Row(NamedTuple):
    """One line of the ledger; `losses` counts occasions, `dropped` events."""

    stage: str
    event_class: str
    taken_in: int
    given_out: int
    dropped: int
    losses: int


class Ledger:
    """Counts."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[int]] = {}
        self._recent: deque[EventsLost] = deque(maxlen=MAX_LOSSES)

    def count(self, stage: str, event_class: str, taken_in: int, given_out: int) -> None:
        """Events that came into a stage and went out of it."""
        row = self._row(stage, event_class)
        row[0] += taken_in
        row[1] += given_out

    def lose(self, event: EventsLost) -> None:
        """Events that are missing."""
        row = self._row(f"{event.tier}:{event.stage}", event.event_class)
        row[2] += event.lost
        row[3] += 1
        self._recent.append(event)

    def losses(self, event_class: EventClass, at_s: float) -> tuple[Loss, ...]:
        """What is missing of a class in the window that ends now, summed per stage."""
        sums: dict[str, int] = {}
        for event in self._recent:
            if event.event_class is event_class and at_s - event.at_s <= WINDOW_S:
                sums[event.stage] = sums.get(event.stage, 0) + event.lost
        return tuple(Loss(event_class, stage, lost) for stage, lost in sorted(sums.items()))

    def rows(self) -> list[Row]:
        """The whole ledger, by stage and class."""
        return [Row(stage, name, *row) for (stage, name), row in sorted(self._rows.items())]

    def _row(self, stage: str, event_class: str) -> list[int]:
        return self._rows.setdefault((stage, event_class), [0, 0, 0, 0])
