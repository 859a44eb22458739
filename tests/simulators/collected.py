"""Collects what a sensor emits, and waits on it with a deadline instead of sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vedette.model.event import Event
from vedette.ports.sensor import SensorContext

DEADLINE_S = 10.0


class Collected:
    """A sensor's context, and the events that came through it."""

    def __init__(
        self, folder: Path, *, options: Mapping[str, int | str | bool] | None = None
    ) -> None:
        self.events: list[Event] = []
        self._came = asyncio.Event()
        self.context = SensorContext(
            emit=self._take, run_dir=folder, state_dir=folder, options=options or {}
        )

    async def until(self, is_enough: Callable[[list[Event]], bool]) -> list[Event]:
        """What was collected once it is enough; fails with it after DEADLINE_S."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not is_enough(self.events):
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"never enough in {DEADLINE_S} s: {self.events[-20:]}") from None
        return list(self.events)

    def _take(self, batch: Sequence[Event]) -> None:
        assert batch, "a sensor emits no empty batch"
        self.events.extend(batch)
        self._came.set()
