"""Lets every source prove itself: at each period, and when a person asks; never two at a time.

Rule: whoever asks is answered when a whole check has run after the question, or told that the
agent stops.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from vedette.errors import RequestError
from vedette.kernel.ticks import next_tick_s
from vedette.model.event import TierChanged

PERIOD_S = 300.0
"""How often every source proves itself again (DESIGN section 4)."""

Changes = Sequence[TierChanged]


class Checks:
    """The clock of the checks.

    Args:
        check: lets all prove themselves; takes whether a person asked, gives what changed.
        period_s: between checks that nobody asked for.
    """

    def __init__(
        self, check: Callable[[bool], Awaitable[Changes]], period_s: float = PERIOD_S
    ) -> None:
        self._check = check
        self._period_s = period_s
        self._is_wanted = asyncio.Event()
        self._waiting: list[asyncio.Future[Changes | None]] = []

    async def run(self) -> None:
        """Check until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(next_tick_s(loop.time(), self._period_s)):
                        await self._is_wanted.wait()
                await self._turn()
        finally:
            self._answer(self._waiting, None)

    async def ask(self) -> Changes:
        """Have a check made now; returns what it changed.

        Raises:
            RequestError: the agent stops before the check is whole.
        """
        answer: asyncio.Future[Changes | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._is_wanted.set()
        changes = await answer
        if changes is None:
            raise RequestError("the agent stops; ask again when it runs")
        return changes

    async def _turn(self) -> None:
        self._is_wanted.clear()
        asked, self._waiting = self._waiting, []
        changes: Changes | None = None
        try:
            changes = await self._check(bool(asked))
        finally:
            self._answer(asked, changes)

    def _answer(
        self, asked: Sequence[asyncio.Future[Changes | None]], changes: Changes | None
    ) -> None:
        for answer in asked:
            if not answer.done():
                answer.set_result(changes)
