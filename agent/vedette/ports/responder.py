"""The port of every response: plans, acts, undoes, and always says what came of it.

Rule 1: a new response is one new file in responses/ that ends with `responder_class = TheClass`,
and one in tests/contract/scenes/.
Rule 2: `plan` changes nothing. What it returns is on the disk before `act` is called, so an `undo`
after a kill -9 or a power cut in the middle of `act` finds all it needs. Of one that is urgent it
is in memory before, which outlives a kill -9, and on the disk before the outcome is told.
Rule 3: `undo` is exact and may be called twice, after half an `act`, and after a reboot.
Rule 4: a target is checked again at the last moment (start time, inode, digest): in doubt the
outcome is REFUSED, never a wrong target.
Rule 5: only ResponseError leaves the methods; whatever the kernel or the disk says is an Outcome.
Rule 6: calls block and run in a worker thread; none takes longer than `timeout_s`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from vedette.errors import ResponseError
from vedette.model.response import Order, Outcome, ResponseStatus, Target, UndoRecord
from vedette.ports.baseline import Baseline
from vedette.ports.good_copies import GoodCopies
from vedette.ports.models import ModelsInUse


class UplinkPeer(NamedTuple):
    """How the connection to the operator is known, which no response may close.

    Attributes:
        host: the broker, by name or address.
        port: its port.
        uid: the user that the uplink runs as.
    """

    host: str
    port: int
    uid: int


@dataclass(frozen=True, slots=True)
class ResponderContext:
    """What a responder is given.

    Attributes:
        state_dir: its own folder, kept over a reboot (0700).
        run_dir: its own folder, gone after a reboot (0700).
        untouchable_pids: who may never be stopped, whatever the order says: the agent's own
            processes; pid 1 is always among them.
        untouchable_paths: files and folders that may never be moved: the agent's own.
        options: the responder's own table of the configuration, already checked.
        uplink_peer: the connection to the operator, None where there is none.
        baseline: what files are meant to be, for those that restore them.
        good_copies: the content that goes with it.
        models: those in use, for what rolls one back.
    """

    state_dir: Path
    run_dir: Path
    untouchable_pids: frozenset[int] = frozenset({1})
    untouchable_paths: tuple[str, ...] = ()
    options: Mapping[str, int | str | bool] = field(default_factory=dict)
    uplink_peer: UplinkPeer | None = None
    baseline: Baseline | None = None
    good_copies: GoodCopies | None = None
    models: ModelsInUse | None = None


class Responder(ABC):
    """Carries out one kind of response."""

    target_type: ClassVar[type[Target]]
    """What it acts on; an order with another target is refused."""

    has_undo: ClassVar[bool]
    """False where nothing can be brought back (a killed process)."""

    outlives_reboot: ClassVar[bool] = False
    """Whether it must hold after a reboot, and so is applied again at the start."""

    is_urgent: ClassVar[bool] = False
    """It may not wait for the disk, and need not: what it does is in the kernel alone and gone with
    the power. Its plan is recorded before it acts all the same, and synced with its outcome."""

    capabilities: ClassVar[frozenset[str]] = frozenset()
    """Linux capabilities it needs, as daemon.privileges names them: "net_admin"."""

    timeout_s: ClassVar[float] = 5.0

    def __init__(self, context: ResponderContext) -> None:
        self.context = context

    @abstractmethod
    def unavailable(self) -> str:
        """Why this device cannot do it and what would lift that, or "" when it can."""

    @abstractmethod
    def plan(self, order: Order) -> UndoRecord:
        """What `undo` will need; nothing is changed.

        Raises:
            ResponseError: it cannot or may not be done; the message is told as the outcome.
        """

    @abstractmethod
    def act(self, order: Order, record: UndoRecord) -> Outcome:
        """Do it, at once and again: a start of the agent calls it for what does not hold."""

    @abstractmethod
    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        """Bring back exactly what was before; UNDONE also when there is nothing left to undo."""

    def leave(self, order: Order, record: UndoRecord) -> None:
        """The agent ends: take out of the kernel what would go on without anybody to end it.

        Called at a regular stop, and by `vedette restore` after a SIGKILL. The order stays on
        record, and `act` is called again at the next start. A file in quarantine stays there.
        What no reboot leaves is undone, unless a responder says otherwise.

        Raises:
            ResponseError: it is still in force.
        """
        if not self.has_undo or self.outlives_reboot:
            return
        outcome = self.undo(order, record)
        if outcome.status is not ResponseStatus.UNDONE:
            raise ResponseError(outcome.detail)

    def recover(self) -> list[str]:
        """Finish what an instance that was killed left half done, where no order on record tells.

        Called while nothing else is: at each start, and by `vedette restore`.

        Returns:
            What was found, one line each for people.
        """
        return []

    def holds(self, order: Order, record: UndoRecord) -> bool:
        """Whether what was done is still in force: somebody may have taken it away."""
        del order, record
        return True
