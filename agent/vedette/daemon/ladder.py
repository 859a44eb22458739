"""Keeps each class of events on the best source that works, and says where it stands.

Rule 1: a source is used only after it proved itself by an event of its own making.
Rule 2: one that fails its proof later is closed, the class climbs again from the top, and that is
told as TierChanged: a blind sensor is a finding, never a silence.
Rule 3: companions (`is_companion`) run beside the chosen source of their class; they are its last
rung when nothing else works. One that stops seeing is told like any other source.
Rule 4: what does not work is tried again at the first check that is RETRY_S after its last try, at
every check while nothing watches one of its classes, and whenever a person asks: so a class climbs
back by itself.
Rule 5: a source of several classes hands on those for which it is the best, and no other.
Rule 6: a source that cannot undo its changes says so, and never keeps the others from closing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import string
import time
from collections.abc import Callable, Mapping, Sequence
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
RETRY_S = 3600.0
"""Each try costs some processes, a proof that waits for its time-out, and twice the memory."""

PROOFS = 2
"""One event may be lost in a storm, which is told as a loss; two in a row are a blind source."""

MakeContext = Callable[[str], SensorContext]


class Ladder:
    """The sensors in use.

    Args:
        sensor_classes: what the sensors folder offers and the configuration allows.
        make_context: gives the context for a sensor by its name (its module's name).
        on_opened: told of each source before it is opened.
        clock: CLOCK_BOOTTIME in seconds.
    """

    def __init__(
        self,
        sensor_classes: Sequence[type[Sensor]],
        make_context: MakeContext,
        on_opened: Callable[[Sensor], None] = lambda _: None,
        clock: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        self._offered = list(sensor_classes)
        self._make_context = make_context
        self._on_opened = on_opened
        self._clock = clock
        self._running: dict[type[Sensor], Sensor] = {}
        self._failures: dict[type[Sensor], str] = {}
        self._chosen: dict[EventClass, type[Sensor] | None] = dict.fromkeys(LADDER_CLASSES)
        self._tried_s: dict[type[Sensor], float] = {}
        self._to_try: set[type[Sensor]] = set()
        """What this round may still try: nothing is tried twice in one."""
        self._round = asyncio.Lock()
        """A reload or the end may come in the middle of a check."""
        self._is_closed = False
        self._guarded: frozenset[int] = frozenset()

    async def climb(self) -> list[TierChanged]:
        """Open the best source of every class, and the companions; at start."""
        async with self._round:
            self._to_try = set() if self._is_closed else set(self._offered)
            return await self._climb_all("start", {})

    async def check(self, *, is_asked: bool = False) -> list[TierChanged]:
        """Let every running source prove itself again; replace those that fail, try better ones.

        Args:
            is_asked: a person wants it: whatever does not work is tried again now.

        Returns:
            What changed. A source that failed and was started again is a change from it to itself.
        """
        async with self._round:
            if self._is_closed:
                return []  # it was closed while this waited: nobody has lost anything
            failed = await self._close_blind()
            return await self._replace(failed, is_asked=is_asked)

    async def mend(self) -> tuple[Mapping[str, str], list[TierChanged]]:
        """Put back what somebody took away from a running source, by starting it again.

        Returns:
            What was taken, by the source's name, and what changed.
        """
        async with self._round:
            robbed = {
                kind: reason
                for kind, sensor in list(self._running.items())
                if (reason := await _taken_away(sensor))
            }
            if not robbed:
                return {}, []
            await self._close_all(robbed)
            changes = await self._replace(robbed, is_asked=False)
        return {name_of(kind): reason for kind, reason in robbed.items()}, changes

    async def guard(self, pids: frozenset[int]) -> None:
        """Have every source that can tell what is done to these processes, now and later."""
        async with self._round:
            self._guarded = pids
            for sensor in self._running.values():
                await _guard(sensor, pids)

    async def close(self) -> list[str]:
        """Close all; each leaves the kernel as it was found, or why not is returned."""
        async with self._round:
            self._is_closed = True
            problems = []
            while self._running:
                _, sensor = self._running.popitem()
                problems.append(await _shut(sensor))
            return [problem for problem in problems if problem]

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

    async def _climb_all(
        self, reason: str, failed: Mapping[type[Sensor], str]
    ) -> list[TierChanged]:
        changes = [
            await self._start_companion(kind, reason, failed)
            for kind in self._offered
            if kind.is_companion and (kind in failed or kind in self._to_try)
        ]
        for event_class, before in list(self._chosen.items()):
            after = self._chosen[event_class] = await self._best(event_class)
            if before is not None and before in failed:
                why = self._why_replaced(before, failed[before])
                changes.append(self._changed(event_class, before, after, why))
            elif after is not before:
                changed = self._changed(event_class, before, after, reason)
                changes.append(changed._replace(is_better=before is not None))
        self._narrow()
        return [change for change in changes if change is not None]

    async def _start_companion(
        self, kind: type[Sensor], reason: str, failed: Mapping[type[Sensor], str]
    ) -> TierChanged | None:
        """What is to be told of it; nothing at the start, nor where it stands for its class."""
        runs = await self._try(kind)
        event_class = kind.tiers[0].event_class
        if kind in failed and self._chosen[event_class] is not kind:
            after = kind if runs else self._chosen[event_class]
            why = f"{name_of(kind)}, which runs beside it: {failed[kind]}"
            return self._changed(event_class, kind, after, why)
        if runs and reason != "start":
            return self._changed(event_class, None, kind, reason)
        return None

    def _why_replaced(self, kind: type[Sensor], reason: str) -> str:
        """Why it failed, and why it could not be started again where it could not."""
        again = self._failures.get(kind, reason)
        return reason if again == reason else f"{reason}; then: {again}"

    async def _best(self, event_class: EventClass) -> type[Sensor] | None:
        for kind in self._rungs(event_class):
            runs = kind in self._running or (not kind.is_companion and await self._try(kind))
            if runs and event_class not in self._running[kind].unserved():
                return kind
        return None

    def _narrow(self) -> None:
        """Let each source hand on only what it was chosen for: nothing is told twice."""
        for kind, sensor in self._running.items():
            if not kind.is_companion:
                sensor.narrow(
                    frozenset(found for found, chosen in self._chosen.items() if chosen is kind)
                )

    def _changed(
        self,
        event_class: EventClass,
        before: type[Sensor] | None,
        after: type[Sensor] | None,
        reason: str,
    ) -> TierChanged:
        return TierChanged(
            at_s=self._clock(),
            tier=name_of(after) if after else "",
            event_class=event_class,
            previous=name_of(before) if before else "",
            reason=reason,
        )

    async def _try(self, kind: type[Sensor]) -> bool:
        if kind not in self._to_try:
            return False
        self._to_try.remove(kind)
        self._tried_s[kind] = self._clock()
        sensor = kind(self._make_context(name_of(kind)))
        self._on_opened(sensor)
        try:
            await sensor.open()
            await sensor.prove(_token())
        except SensorError as error:
            self._failures[kind] = str(error)
            self._note_shut(kind, await _shut(sensor))
            return False
        except BaseException:  # stopped in the middle of the start: leave nothing behind
            await _shut(sensor)
            raise
        self._failures.pop(kind, None)
        self._running[kind] = sensor
        await _guard(sensor, self._guarded)
        return True

    async def _close_blind(self) -> dict[type[Sensor], str]:
        """Close every source that does not prove itself; returns why not."""
        failed: dict[type[Sensor], str] = {}
        async with asyncio.TaskGroup() as group:
            for kind in list(self._running):
                group.create_task(self._prove(kind, failed))
        await self._close_all(failed)
        return failed

    async def _close_all(self, failed: Mapping[type[Sensor], str]) -> None:
        for kind, reason in failed.items():
            self._failures[kind] = reason
            self._note_shut(kind, await _shut(self._running.pop(kind)))

    async def _replace(
        self, failed: Mapping[type[Sensor], str], *, is_asked: bool
    ) -> list[TierChanged]:
        """Climb again after these were closed, and close what nobody needs any more."""
        self._to_try = {kind for kind in self._offered if self._is_due(kind, failed, is_asked)}
        changes = await self._climb_all("it works again", failed)
        for kind in self._idle():
            self._note_shut(kind, await _shut(self._running.pop(kind)))
        return changes

    def _is_due(
        self,
        kind: type[Sensor],
        failed: Mapping[type[Sensor], str],
        is_asked: bool,  # noqa: FBT001
    ) -> bool:
        if self._is_closed or kind in self._running:
            return False
        if is_asked or kind in failed:
            return True
        chosen = [self._chosen[tier.event_class] for tier in kind.tiers]
        is_needed = any(one is None or one in failed for one in chosen)
        return is_needed or self._clock() - self._tried_s.get(kind, 0.0) >= RETRY_S

    def _idle(self) -> list[type[Sensor]]:
        """Sources that a better one has replaced."""
        used = set(self._chosen.values())
        return [kind for kind in self._running if kind not in used and not kind.is_companion]

    def _note_shut(self, kind: type[Sensor], problem: str) -> None:
        if problem:
            known = self._failures.get(kind)
            self._failures[kind] = f"{known}; {problem}" if known else problem

    async def _prove(self, kind: type[Sensor], failed: dict[type[Sensor], str]) -> None:
        for _ in range(PROOFS):
            try:
                await self._running[kind].prove(_token())
            except SensorError as error:
                failed[kind] = str(error)
            else:
                failed.pop(kind, None)
                return

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
        if chosen not in self._running:
            chosen = None  # it is just being closed, and perhaps replaced
        rungs = self._rungs(event_class)
        better = rungs[: rungs.index(chosen)] if chosen in rungs else rungs
        failures = [(name_of(kind), self._why_not(kind, event_class)) for kind in better]
        failures += [
            (name_of(kind), self._failures[kind])
            for kind in rungs
            if kind.is_companion and kind not in better and kind in self._failures
        ]
        tier = tier_of(chosen, event_class) if chosen else None
        if tier is not None and chosen is not None:
            blind_spots = self._running[chosen].blind_spots(event_class)
            tier = replace(tier, misses=(*tier.misses, *blind_spots))
        return TierReport(event_class, tier, tuple(failures))

    def _why_not(self, kind: type[Sensor], event_class: EventClass) -> str:
        running = self._running.get(kind)
        reason = running.unserved().get(event_class, "") if running else ""
        return reason or self._failures.get(kind, "closed" if self._is_closed else "not tried")


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
        problems = await ladder.close()
        if problems:
            raise SensorError("; ".join(problems))


async def _shut(sensor: Sensor) -> str:
    """Close a source; why not, where it could not undo all."""
    try:
        await sensor.close()
    except SensorError as error:
        return str(error)
    return ""


async def _taken_away(sensor: Sensor) -> str:
    """What was taken from a source; where the kernel does not say, the next proof decides."""
    with contextlib.suppress(OSError):
        return await sensor.taken_away()
    return ""


async def _guard(sensor: Sensor, pids: frozenset[int]) -> None:
    with contextlib.suppress(OSError):  # what it cannot tell another source, or nobody, does
        await sensor.guard(pids)


def _token() -> str:
    # Not secrets.choice: the import costs 0.3 MB that nothing else in the sentinel needs.
    letters = string.ascii_lowercase
    return "".join(letters[byte % len(letters)] for byte in os.urandom(TOKEN_LENGTH))
