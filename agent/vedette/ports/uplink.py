"""The port of the way out: takes signed messages, tells what became of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from vedette.model.event import Event
from vedette.model.message import Message, Outcome, SessionChanged


@dataclass(frozen=True, slots=True)
class UplinkListener:
    """What the daemon wants to hear; called from the event loop.

    Attributes:
        on_outcome: one call for each message that was handed over while the session was up.
        on_session: the session came up or went down; what was in flight must be sent again.
        on_events: DNS hints and losses of the link.
        on_down: what somebody published for this device, as it came, and how many more could not be
            handed down; nothing of it is verified.
        on_hearing: why the broker does not let us hear what is for us, or "" when it does.
    """

    on_outcome: Callable[[Outcome], None]
    on_session: Callable[[SessionChanged], None]
    on_events: Callable[[tuple[Event, ...]], None]
    on_down: Callable[[bytes, int], None]
    on_hearing: Callable[[str], None]


class Uplink(ABC):
    """Delivers at least once, in order, or says that it could not."""

    @abstractmethod
    async def open(self, listener: UplinkListener, *, birth: Message, will: Message) -> None:
        """Begin; birth is published at each connect, will is left with the broker."""

    @abstractmethod
    def send(self, message: Message) -> bool:
        """Hand one message over; False when the window is full or the session is down."""

    @abstractmethod
    async def close(self) -> None:
        """Leave in good order: what was handed over is finished or reported as not."""
