"""Freezes a process with all that descends from it, until it is let go on as it was.

Rule 1: in a control group that is frozen, where there is one; it cannot be left from inside, nobody
is told of it, and the kernel itself keeps where each came from (_freezer.py).
Rule 2: by SIGSTOP elsewhere; whom we stopped is written down before, so that an undo lets go on
exactly those, also after we were killed.
Rule 3: who sleeps uninterruptibly stops when it wakes; it is told as not yet frozen.
"""

from __future__ import annotations

import time
from typing import ClassVar, Final

from vedette.errors import ResponseError
from vedette.model.response import (
    Order,
    Outcome,
    ProcessTarget,
    ResponseStatus,
    Target,
    UndoRecord,
)
from vedette.ports.responder import Responder
from vedette.responses._freezer import (
    Freezer,
    dissolve,
    first_usable,
    groups_named,
    hierarchies,
    is_held_by,
    members,
)
from vedette.responses._process_handle import ProcessHandle, pidfd_refusal
from vedette.responses._process_tree import ProcessTree
from vedette.responses._stop_ledger import StopLedger
from vedette.responses._stop_signals import STOPPED
from vedette.responses._target import found, named, pinned, process_target

_CLOSED_S: Final = 3.0
_GROUPS_S: Final = 0.2
"""How long groups alone may try; a move takes 0.05 ms, and 5 while 250 processes fork."""
_FROZEN_S: Final = 1.0
"""How long the members may take to come to rest; in an uninterruptible sleep they do not."""


class Freeze(Responder):
    """Holds a process tree still."""

    target_type: ClassVar[type[Target]] = ProcessTarget
    has_undo: ClassVar[bool] = True
    is_urgent: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[str]] = frozenset({"kill"})
    timeout_s: ClassVar[float] = 5.0

    def unavailable(self) -> str:
        """Needs pidfd_open(2); without a freezer it stops by signals."""
        return pidfd_refusal()

    def plan(self, order: Order) -> UndoRecord:
        """Pin the process by its start time; the kernel keeps the rest."""
        return pinned(process_target(order), self.context.untouchable_pids)

    def act(self, order: Order, record: UndoRecord) -> Outcome:
        """Freeze it; DONE when nobody of it runs any more."""
        began_s = time.monotonic()
        try:
            target, root = found(order, record, self.context.untouchable_pids)
        except ResponseError as error:
            return Outcome(ResponseStatus.REFUSED, str(error), {})
        ledger = self._ledger(order)
        freezer = first_usable(_name(order), ledger)
        try:
            with ledger, ProcessTree(freezer or ledger, self.context.untouchable_pids) as tree:
                _Hold(freezer, ledger, tree).run(root, target, began_s + _CLOSED_S)
                is_frozen = freezer is None or freezer.wait_frozen(time.monotonic() + _FROZEN_S)
                return _outcome(tree, target, time.monotonic() - began_s, is_frozen=is_frozen)
        except ResponseError as error:
            self.undo(order, record)
            return Outcome(ResponseStatus.FAILED, str(error), {})

    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        """Let everybody go on, where they came from; exact also after half an act."""
        del record
        count, stuck = 0, 0
        for hierarchy in hierarchies():
            for folder in groups_named(_name(order), hierarchy):
                count += len(members(folder))
                dissolve(folder, hierarchy)
                stuck += len(members(folder))
        count += self._ledger(order).resume()
        if stuck:
            return Outcome(
                ResponseStatus.FAILED,
                f"{stuck} of {count} processes could not be moved out of their frozen group",
                {"released": count - stuck, "left": stuck},
            )
        return Outcome(ResponseStatus.UNDONE, f"released {count} processes", {"released": count})

    def leave(self, order: Order, record: UndoRecord) -> None:
        """Nobody stays frozen without an agent that could let them go."""
        self.undo(order, record)

    def holds(self, order: Order, record: UndoRecord) -> bool:
        """Whether nobody has thawed it, moved it away or continued it."""
        try:
            target, root = found(order, record, frozenset())
        except ResponseError:
            return True  # it has ended: nothing to hold
        if root is None:
            return True
        with root:
            found_in = hierarchies()
            if any(is_held_by(_name(order), root.pid, hierarchy) for hierarchy in found_in):
                return True
            is_by_signal = not found_in or self._ledger(order).has(target.key.pid)
            return is_by_signal and root.stat.state in STOPPED

    def _ledger(self, order: Order) -> StopLedger:
        return StopLedger(self.context.run_dir, _name(order))


def _name(order: Order) -> str:
    return f"freeze-{order.response_id}"


class _Hold:
    """One act of freezing."""

    def __init__(self, freezer: Freezer | None, ledger: StopLedger, tree: ProcessTree) -> None:
        self._freezer, self._ledger, self._tree = freezer, ledger, tree

    def run(self, root: ProcessHandle | None, target: ProcessTarget, until_s: float) -> None:
        """Hold the tree, look for lost ones, until there are none or the time is up.

        Args:
            root: None where it has ended.
            target: its key with the start time that was found.
            until_s: by time.monotonic().

        Raises:
            ResponseError: the kernel does not let us.
        """
        tree = self._tree
        if root is None:
            tree.add_led(target.key)
        else:
            tree.add(root)
        tree.add_kin(target.kin)
        self._close(until_s)
        while tree.claim() and time.monotonic() < until_s:
            self._close(until_s)

    def _close(self, until_s: float) -> None:
        """By groups; a bomb, whose forks make each move slow, by signals until it is moved."""
        tree, freezer = self._tree, self._freezer
        if freezer is None:
            tree.settle(until_s)
        elif not tree.settle(min(until_s, time.monotonic() + _GROUPS_S)):
            for brake in (self._ledger, freezer):
                tree.change_brake(brake)
                tree.settle(until_s)
            self._ledger.resume()
            for pid in freezer.refused:  # nothing but the signal holds these
                self._ledger.hold(tree.members[pid])


def _outcome(
    tree: ProcessTree, target: ProcessTarget, took_s: float, *, is_frozen: bool
) -> Outcome:
    count = len(tree.members)
    facts: dict[str, str | int] = {
        "frozen": count,
        "spared": len(tree.spared),
        "took_us": round(took_s * 1e6),
    }
    if not count:
        return Outcome(ResponseStatus.FAILED, f"process {target.key.pid} had ended already", facts)
    parts = [f"froze {count} process{'es' * (count != 1)}"]
    if not is_frozen:
        parts.append("not all have come to rest: who sleeps uninterruptibly stops when it wakes")
    if tree.spared:
        parts.append(f"{named(tree.spared)} spared: may not be touched")
    if not tree.is_closed:
        parts.append("new ones were born until the time was up")
    status = ResponseStatus.DONE if len(parts) == 1 else ResponseStatus.PARTLY
    return Outcome(status, "; ".join(parts), facts)


responder_class = Freeze
