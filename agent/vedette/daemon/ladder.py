"""Keeps each class of events on the best source that works, and says where it stands.

Rule 1: a source is used only after it proved itself by an event of its own making.
Rule 2: one that fails its proof later is closed, the class climbs again from the top, and that is
told as TierChanged: a blind sensor is a finding, never a silence.
Rule 3: companions (`is_companion`) run beside the chosen source of their class; they are its last
rung when nothing else works.
"""

from __future__ import annotations

import asyncio
import secrets
import string
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from vedette.errors import SensorError
from vedette.model.event import EventClass, TierChanged
from vedette.model.tier import Tier, TierReport
from vedette.ports.sensor import Sensor, SensorContext

LADDER_CLASSES = (
    EventClass.PROCESS,
    EventClass.FILE,
    EventClass.NETWORK,
    EventClass.KERNEL,
    EventClass.LOG,
)
"""The model class has no kernel source: inference processes report to us (issue E)."""

TOKEN_LENGTH = 12

MakeContext = Callable[[str], SensorContext]


class Ladder:
    """The sensors in use.

    Args:
        sensor_classes: what the sensors folder offers and the configuration allows.
        make_context: gives the context for a sensor by its name (its module's name).
        on_opened: told of each source before it is opened.
    """

    def __init__(
        self,
        sensor_classes: Sequence[type[Sensor]],
        make_context: MakeContext,
        on_opened: Callable[[Sensor], None] = lambda _: None,
    ) -> None:
        self._offered = list(sensor_classes)
        self._make_context = make_context
        self._on_opened = on_opened
        self._running: dict[type[Sensor], Sensor] = {}
        self._failures: dict[type[Sensor], str] = {}
        self._chosen: dict[EventClass, type[Sensor] | None] = dict.fromkeys(LADDER_CLASSES)

    async def climb(self) -> list[TierChanged]:
        """Open the best source of every class, and the companions; at start."""
        for companion in self._offered:
            if companion.is_companion:
                await self._try(companion)
        changes = [await self._climb_class(c, "start") for c in LADDER_CLASSES]
        return [change for change in changes if change is not None]

    async def check(self) -> list[TierChanged]:
        """Let every running source prove itself again; replace those that fail."""
        failed: dict[type[Sensor], str] = {}
        async with asyncio.TaskGroup() as group:
            for kind in list(self._running):
                group.create_task(self._prove(kind, failed))
        for kind, reason in failed.items():
            self._failures[kind] = reason
            await self._running.pop(kind).close()
        for kind in failed:
            if kind.is_companion:
                await self._try(kind)
        changes: list[TierChanged] = []
        for event_class, chosen in list(self._chosen.items()):
            if chosen in failed:
                change = await self._climb_class(event_class, failed[chosen])
                changes.extend([change] if change is not None else [])
        return changes

    async def close(self) -> None:
        """Close all; each leaves the kernel as it was found."""
        while self._running:
            _, sensor = self._running.popitem()
            await sensor.close()

    def reports(self) -> tuple[TierReport, ...]:
        """Where each class stands, with the reasons why not better."""
        return tuple(self._report(event_class) for event_class in LADDER_CLASSES)

    def lift(self, name: str, event_class: EventClass) -> tuple[str, ...]:
        """What would make a source work that does not, one line each."""
        kind = next((kind for kind in self._offered if name_of(kind) == name), None)
        tier = tier_of(kind, event_class) if kind else None
        return tier.lift if tier else ()

    def sensors(self) -> list[tuple[str, Sensor]]:
        """The running ones by name."""
        return sorted((name_of(kind), sensor) for kind, sensor in self._running.items())

    async def _climb_class(self, event_class: EventClass, reason: str) -> TierChanged | None:
        before = self._chosen[event_class]
        self._chosen[event_class] = None
        for kind in self._rungs(event_class):
            is_untried = kind not in self._running and not kind.is_companion
            if kind in self._running or (is_untried and await self._try(kind)):
                self._chosen[event_class] = kind
                break
        after = self._chosen[event_class]
        if after is None and before is None:
            return None
        return TierChanged(
            at_s=time.clock_gettime(time.CLOCK_BOOTTIME),
            tier=name_of(after) if after else "",
            event_class=event_class,
            previous=name_of(before) if before else "",
            reason=reason,
        )

    async def _try(self, kind: type[Sensor]) -> bool:
        name = name_of(kind)
        sensor = kind(self._make_context(name))
        self._on_opened(sensor)
        try:
            await sensor.open()
            await sensor.prove(_token())
        except SensorError as error:
            self._failures[kind] = str(error)
            await sensor.close()
            return False
        except BaseException:  # stopped in the middle of the start: leave nothing behind
            await sensor.close()
            raise
        self._failures.pop(kind, None)
        self._running[kind] = sensor
        return True

    async def _prove(self, kind: type[Sensor], failed: dict[type[Sensor], str]) -> None:
        try:
            await self._running[kind].prove(_token())
        except SensorError as error:
            failed[kind] = str(error)

    def _rungs(self, event_class: EventClass) -> list[type[Sensor]]:
        rungs = [
            (kind.is_companion, -tier.rank, name_of(kind), kind)
            for kind in self._offered
            for tier in kind.tiers
            if tier.event_class is event_class
        ]
        return [kind for *_, kind in sorted(rungs, key=lambda rung: rung[:3])]

    def _report(self, event_class: EventClass) -> TierReport:
        chosen = self._chosen[event_class]
        rungs = self._rungs(event_class)
        better = rungs[: rungs.index(chosen)] if chosen in rungs else rungs
        failures = [(name_of(kind), self._failures.get(kind, "not tried")) for kind in better]
        tier = tier_of(chosen, event_class) if chosen else None
        if tier is not None and chosen is not None:
            blind_spots = self._running[chosen].blind_spots()
            tier = replace(tier, misses=(*tier.misses, *blind_spots))
        return TierReport(event_class, tier, tuple(failures))


def name_of(kind: type[Sensor]) -> str:
    """A sensor's name: its file in sensors/, its table in the configuration, its tier."""
    return kind.__module__.rpartition(".")[2]


def tier_of(kind: type[Sensor], event_class: EventClass) -> Tier | None:
    """What a source offers for a class."""
    return next((tier for tier in kind.tiers if tier.event_class is event_class), None)


async def probe(ladder: Ladder) -> tuple[TierReport, ...]:
    """Climb, report, and close again: for `vedette doctor` where no agent runs."""
    try:
        await ladder.climb()
        return ladder.reports()
    finally:
        await ladder.close()


def _token() -> str:
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(TOKEN_LENGTH))
