"""Sources that see nothing but their own test event: the real port, for tests of what uses it."""

from __future__ import annotations

from typing import ClassVar

from vedette.errors import SensorError
from vedette.model.event import Event, EventClass, ProcessExited
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor


def tier(event_class: EventClass, name: str, rank: int) -> Tier:
    return Tier(event_class, name, rank, "all", (), ())


class Simulated(Sensor):
    """Sees its own test event unless it is told to be blind."""

    tiers: ClassVar[tuple[Tier, ...]] = ()
    cannot_open: ClassVar[str] = ""
    is_blind: ClassVar[bool] = False
    life: ClassVar[list[str]] = []

    async def _open(self) -> None:
        self.life.append(f"open {type(self).__name__}")
        if self.cannot_open:
            raise SensorError(self.cannot_open)

    async def _provoke(self, token: str) -> None:
        if not type(self).is_blind:
            self.emit([ProcessExited(0.0, token, 1)])

    def _is_proof(self, event: Event, token: str) -> bool:
        return event.tier == token

    async def _close(self) -> None:
        self.life.append(f"close {type(self).__name__}")

    @property
    def proof_timeout_s(self) -> float:
        return 0.01

    @property
    def first_proof_timeout_s(self) -> float:
        return 0.02


def source(name: str, *tiers: Tier, **attributes: object) -> type[Simulated]:
    made = type(name, (Simulated,), {"tiers": tiers, "life": [], **attributes})
    made.__module__ = f"sensors.{name}"
    return made
