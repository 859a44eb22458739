"""The port of every sensor: opens, proves itself, emits batches, leaves no trace.

Rule 1: a new sensor is one new file in sensors/ whose last line is `sensor_class = TheClass`.
Rule 2: only SensorError leaves the public methods.
Rule 3: reading never blocks the loop; work per event is small, work per batch is shared.
Rule 4: whatever a sensor changes in the kernel is written to its run folder before it is changed,
so that `restore` can undo it after SIGKILL.
Rule 5: all sensor modules are imported to be listed, so a library that is not in the standard
library is imported inside `_open`: what an unused tier needs costs a device no memory.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, final

from vedette.errors import SensorError
from vedette.model.event import CLASS_OF, Event, EventClass, EventsLost
from vedette.model.tier import Tier
from vedette.ports.baseline import Baseline

Emit = Callable[[Sequence[Event]], None]

PROOF_TIMEOUT_S = 3.0
"""How long a sensor that has seen may take to see its own event, once that was made: audit needs
20 ms, a poll its period."""

FIRST_PROOF_S = 15.0
"""The same for one just opened, and for the making of any proof's event. A small device that
starts, or is kept busy, needs seconds to start the proof's programs. One that is given up costs the
events that it holds, and leaves worse sources for an hour; what cannot work mostly fails when it is
opened.
"""


@dataclass(frozen=True, slots=True)
class SensorContext:
    """What a sensor is given.

    Attributes:
        emit: takes a batch of events, synchronously; call it from the event loop only.
        run_dir: gone after a reboot (0700): what `restore` needs.
        state_dir: kept (0700).
        watch: absolute paths of the trees whose files are watched.
        options: the sensor's own table of the configuration, already checked.
        baseline: the hash baseline, for the sensor that scans.
    """

    emit: Emit
    run_dir: Path
    state_dir: Path
    watch: tuple[str, ...] = ()
    options: Mapping[str, int | str | bool] = field(default_factory=dict)
    baseline: Baseline | None = None


class Sensor(ABC):
    """A source of events.

    The life of a sensor: `open`, `prove`, then events until `close`; `prove` again every five
    minutes. After `close` the object is not used again.
    """

    tiers: ClassVar[tuple[Tier, ...]]
    """One Tier for each class of events that this source can watch."""

    is_companion: ClassVar[bool] = False
    """Runs beside the chosen source of its class instead of competing with it."""

    capabilities: ClassVar[frozenset[str]] = frozenset()
    """Linux capabilities it needs, as daemon.privileges names them: "net_admin"."""

    def __init__(self, context: SensorContext) -> None:
        self.context = context
        self._proof: asyncio.Future[None] | None = None
        self._token = ""
        self._has_seen = False
        self._narrowed_to: frozenset[EventClass] | None = None

    @final
    async def open(self) -> None:
        """Begin to watch.

        Raises:
            SensorError: it cannot watch here; what had been opened is closed again.
        """
        try:
            await self._open()
        except SensorError:
            await self.close()
            raise
        except (OSError, ValueError) as error:
            await self.close()
            raise SensorError(f"{type(self).__name__}: {error}") from error

    @final
    async def prove(self, token: str) -> None:
        """See an event of its own making.

        Args:
            token: at least 8 random letters; makes this proof's event unlike any other.

        Raises:
            SensorError: the event did not arrive within `proof_timeout_s` of its making, the first
                one since it was opened within `first_proof_timeout_s`; or it could not be made.
        """
        loop = asyncio.get_running_loop()
        self._token = token
        self._proof = loop.create_future()
        patience_s = self.first_proof_timeout_s
        try:
            async with asyncio.timeout(patience_s) as patience:
                await self._provoke(token)
                if self._has_seen:
                    patience_s = self.proof_timeout_s
                    patience.reschedule(loop.time() + patience_s)
                await self._proof
            self._has_seen = True
        except TimeoutError as error:
            raise SensorError(
                f"{type(self).__name__}: expected to see its own test event within "
                f"{patience_s:g} s, saw none"
            ) from error
        except OSError as error:
            raise SensorError(f"{type(self).__name__}: the test event failed: {error}") from error
        finally:
            self._proof = None

    @final
    async def close(self) -> None:
        """Stop watching and undo every change to the kernel. Safe to call twice."""
        await self._close()

    @classmethod
    def restore(cls, run_dir: Path) -> list[str]:
        """Undo what an instance killed earlier left behind.

        Returns:
            One line for each thing undone, for the journal; empty where there was nothing.
        """
        del run_dir
        return []

    @property
    def proof_timeout_s(self) -> float:
        """Seconds that `prove` waits; a polling sensor needs more than its period."""
        return PROOF_TIMEOUT_S

    @property
    def first_proof_timeout_s(self) -> float:
        """Seconds that the first `prove` waits."""
        return max(self.proof_timeout_s, FIRST_PROOF_S)

    def counters(self) -> Mapping[str, int]:
        """What this stage counted: "in", "out", "dropped" and its own words."""
        return {}

    def blind_spots(self, event_class: EventClass) -> tuple[str, ...]:
        """What this open sensor cannot see of a class beyond its tier's `misses`, one line each."""
        del event_class
        return ()

    def unserved(self) -> Mapping[EventClass, str]:
        """Classes of its tiers that this open sensor cannot watch on this kernel, and why not."""
        return {}

    async def taken_away(self) -> str:
        """What it watches with and somebody took away since it was opened, "" while all stands.

        Asked every few seconds between proofs: some cheap questions to the kernel, none to a
        process. What it says is a finding, and the source is opened anew.

        Raises:
            OSError: the kernel does not answer; the next proof decides.
        """
        return ""

    async def guard(self, pids: frozenset[int]) -> None:
        """Tell of signals to these processes and of who reads their memory; replaces the last call.

        Called when the sensor is open, and whenever the agent's own processes are others. A source
        that cannot tell does nothing.

        Raises:
            OSError: the kernel does not take it.
        """
        del pids

    @final
    def narrow(self, classes: frozenset[EventClass]) -> None:
        """Hand on events of these classes alone: a better source watches the others."""
        offered = {tier.event_class for tier in self.tiers}
        self._narrowed_to = None if offered <= classes else classes
        self._narrowed(classes)

    def _narrowed(self, classes: frozenset[EventClass]) -> None:  # noqa: B027 - nothing is a way
        """Do no work any more for other classes, and take it up again for these."""

    @final
    def emit(self, batch: Sequence[Event]) -> None:
        """Hand on a batch; while a proof is awaited its own event is taken out."""
        if self._proof is not None:
            batch = self._take_proof(batch)
        if self._narrowed_to is not None:
            batch = [event for event in batch if _class_of(event) in self._narrowed_to]
        if batch:
            self.context.emit(batch)

    def _take_proof(self, batch: Sequence[Event]) -> Sequence[Event]:
        kept = [event for event in batch if not self._is_proof(event, self._token)]
        if len(kept) < len(batch):
            self._proved()
        return kept

    def _proved(self) -> None:
        """Say that the awaited event was seen (for sensors that see it before it is an Event)."""
        if self._proof is not None and not self._proof.done():
            self._proof.set_result(None)

    @abstractmethod
    async def _open(self) -> None:
        """Acquire; raise SensorError or OSError with the reason."""

    @abstractmethod
    async def _provoke(self, token: str) -> None:
        """Make the harmless event that only this token could have caused."""

    @abstractmethod
    def _is_proof(self, event: Event, token: str) -> bool:
        """Whether this event is the one `_provoke` made."""

    @abstractmethod
    async def _close(self) -> None:
        """Release; must work on a half-opened object."""


def _class_of(event: Event) -> EventClass | None:
    return event.event_class if isinstance(event, EventsLost) else CLASS_OF.get(type(event))
