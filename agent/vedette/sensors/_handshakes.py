"""Connections that come in wait for the end of their handshake: only then is the other end there.

The packet filter tells of a connection's first packet, which anybody may have sent in another's
name; who answered the answer is at his address, and may be blocked.

Rule 1: nothing waits longer than HOLD_S; what is not over by then is told as what it is.
Rule 2: memory is bounded: in a flood of first packets those beyond MAX_HELD are told at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from vedette.model.event import ConnectionOpened
from vedette.sensors._tcp_states import Ends, TcpStates

HOLD_S: Final = 1.0
"""Three packets between the far ends of the world take 0.5 s."""
LOOK_S: Final = 0.05
MAX_HELD: Final = 512


class Handshakes:
    """Holds events of connections that come in.

    Args:
        states: says whose handshake is over.
        emit: takes what has waited.
    """

    def __init__(
        self, states: TcpStates, emit: Callable[[Sequence[ConnectionOpened]], None]
    ) -> None:
        self._states = states
        self._emit = emit
        self._held: dict[Ends, ConnectionOpened] = {}
        self._timer: asyncio.TimerHandle | None = None

    def take(self, opened: Sequence[tuple[Ends, ConnectionOpened]]) -> list[ConnectionOpened]:
        """What can be told now, in its order; the rest is emitted later."""
        now: list[ConnectionOpened] = []
        self._states.look()
        for ends, event in opened:
            if event.is_initiated or event.protocol != "tcp" or ends in self._held:
                now.append(event)
            elif self._states.is_established(ends):
                now.append(event._replace(is_established=True))
            elif len(self._held) >= MAX_HELD:
                now.append(event)
            else:
                self._held[ends] = event
        self._look_later()
        return now

    def close(self) -> None:
        """Emit what still waits. Safe to call twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = self._held, {}
        if held:
            self._emit(list(held.values()))

    def _look_later(self) -> None:
        if self._held and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _look(self) -> None:
        self._timer = None
        self._states.look()
        oldest_s = time.clock_gettime(time.CLOCK_BOOTTIME) - HOLD_S
        told: list[ConnectionOpened] = []
        for ends, event in list(self._held.items()):
            is_over = self._states.is_established(ends)
            if is_over or event.at_s <= oldest_s:
                del self._held[ends]
                told.append(event._replace(is_established=is_over))
        if told:
            self._emit(told)
        self._look_later()
