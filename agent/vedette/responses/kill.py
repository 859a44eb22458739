"""Kills a process with all that descends from it, what is born meanwhile included.

Rule 1: first stopped, then killed: SIGSTOP takes effect within microseconds, and nobody dies before
the children were listed, since the children of the dead belong to init.
Rule 2: nobody of a large tree is killed before it is closed, so that a bomb at its limit finds no
room for more.
Rule 3: a tree that signals do not close (somebody sends SIGCONT, or keeps the signals back) is
moved into a frozen control group, inside which whatever is born stays. Not before: the first move
takes 14 ms, and while 250 processes fork each takes 5 ms where a signal takes 0.003.
Rule 4: whom it stops is written down before, in memory: who was left stopped by an agent that was
killed itself is ended at the next start, as was decided. A full memory keeps nobody alive.
Rule 5: who cannot die now (uninterruptible sleep) has the signal pending and runs no instruction of
its own any more; it is told as left.
"""

from __future__ import annotations

import contextlib
import signal
import time
from typing import ClassVar, Final

from vedette.errors import ResponseError
from vedette.model.process import ProcessKey
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
    free_killed,
    groups_named,
    hierarchies,
    members,
)
from vedette.responses._haste import in_haste
from vedette.responses._process_handle import ProcessHandle, open_process, pidfd_refusal
from vedette.responses._process_tree import PAUSE_S, ProcessTree
from vedette.responses._stop_ledger import StopLedger, left
from vedette.responses._target import found, named, pinned, process_target

_SIGNALS_S: Final = 0.5
"""How long signals alone may try; a tree of ten processes is closed in one millisecond, a bomb of
250 in a fifth of a second."""
_SMALL: Final = 16
"""A tree of so many members is killed before all processes are gone through for lost ones."""
_FROZEN_S: Final = 0.02
"""Who has not ended by then may be frozen by somebody else's group of version 1."""
_ENDED_S: Final = 1.0
"""How long a killed process may take to end; in an uninterruptible sleep it does not."""


class Kill(Responder):
    """Ends a process tree; there is no undo."""

    target_type: ClassVar[type[Target]] = ProcessTarget
    has_undo: ClassVar[bool] = False
    is_urgent: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[str]] = frozenset({"kill"})
    timeout_s: ClassVar[float] = 5.0

    def unavailable(self) -> str:
        """Needs pidfd_open(2) and pidfd_send_signal(2)."""
        return pidfd_refusal()

    def plan(self, order: Order) -> UndoRecord:
        """Pin the process by its start time."""
        return pinned(process_target(order), self.context.untouchable_pids)

    def act(self, order: Order, record: UndoRecord) -> Outcome:
        """Kill it; DONE when all have ended, PARTLY when some are left or spared."""
        began_s = time.monotonic()
        try:
            target, root = found(order, record, self.context.untouchable_pids)
        except ResponseError as error:
            return Outcome(ResponseStatus.REFUSED, str(error), {})
        hunt = _Hunt(_Ledger(self.context.run_dir, _name(order)), self.context.untouchable_pids)
        try:
            with in_haste():
                hunt.run(root, target, began_s + self.timeout_s - 2 * _ENDED_S)
            return hunt.outcome(target.key.pid, time.monotonic() - began_s)
        except ResponseError as error:
            hunt.release()
            return Outcome(ResponseStatus.FAILED, str(error), {})
        finally:
            hunt.close()

    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        """Nobody is brought back to life; groups that a killed agent left are taken away."""
        del record
        for hierarchy in hierarchies():
            for folder in groups_named(_name(order), hierarchy):
                dissolve(folder, hierarchy)
        return Outcome(ResponseStatus.REFUSED, "a killed process cannot be brought back", {})

    def recover(self) -> list[str]:
        """Kill whom a killed agent had stopped for it."""
        lines = []
        for name, keys in left(self.context.run_dir, "kill"):
            count = sum(map(self._finish, keys)) + _finish_groups(name)
            StopLedger(self.context.run_dir, name).forget()
            lines.append(
                f"{name} was cut short: {count} processes were left stopped, and ended now"
            )
        return lines

    def _finish(self, key: ProcessKey) -> bool:
        process = None if key.pid in self.context.untouchable_pids else open_process(key.pid)
        if process is None:
            return False
        with process:
            return process.is_same(key.start_ticks) and process.signal(signal.SIGKILL)


def _name(order: Order) -> str:
    return f"kill-{order.response_id}"


def _finish_groups(name: str) -> int:
    """Kill who is in frozen groups of this name, and remove them; how many were there."""
    count = 0
    for hierarchy in hierarchies():
        for folder in groups_named(name, hierarchy):
            inside = [found for pid in members(folder) if (found := open_process(pid)) is not None]
            for process in inside:
                with process:
                    count += process.signal(signal.SIGKILL)
            dissolve(folder, hierarchy)
    return count


class _Ledger(StopLedger):
    """Writes down whom it can."""

    def _write(self, key: ProcessKey) -> None:
        with contextlib.suppress(ResponseError):
            super()._write(key)


class _Hunt:
    """One act of killing; `close` leaves no control group of ours."""

    def __init__(self, stop: StopLedger, untouchable: frozenset[int]) -> None:
        self._stop = stop
        self._tree = ProcessTree(stop, untouchable)
        self._freezer: Freezer | None = None
        self._left: list[ProcessHandle] = []
        self._has_escaped = False

    def run(self, root: ProcessHandle | None, target: ProcessTarget, until_s: float) -> None:
        """Close the tree, kill it, look for lost ones, until there are none or the time is up.

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
        if tree.is_closed and len(tree.members) <= _SMALL:
            self._kill()
        while tree.claim() and time.monotonic() < until_s:
            self._close(until_s)
        self._kill()
        if not tree.is_closed:  # who slept may have had children before the signal came
            while tree.claim() and time.monotonic() < until_s:
                self._kill()
            self._has_escaped = time.monotonic() >= until_s
        self._wait_ended(time.monotonic() + _ENDED_S)

    def outcome(self, pid: int, took_s: float) -> Outcome:
        """What came of it."""
        tree, left = self._tree, self._left
        killed = len(tree.members) - len(left)
        facts: dict[str, str | int] = {
            "killed": killed,
            "left": len(left),
            "spared": len(tree.spared),
            "held_by": "freezer" if self._freezer else "signals",
            "took_us": round(took_s * 1e6),
        }
        if not tree.members:
            return Outcome(ResponseStatus.FAILED, f"process {pid} had ended already", facts)
        parts = [f"killed {killed} process{'es' * (killed != 1)}"]
        if left:
            names = named(process.pid for process in left)
            parts.append(f"{names} left to end with an uninterruptible sleep")
        if tree.spared:
            parts.append(f"{named(tree.spared)} spared: may not be touched")
        if self._has_escaped:
            parts.append("new ones were born until the time was up")
        status = ResponseStatus.DONE if len(parts) == 1 else ResponseStatus.PARTLY
        return Outcome(status, "; ".join(parts), facts)

    def release(self) -> None:
        """Let go on whoever was held."""
        self._stop.resume()

    def close(self) -> None:
        """Take our control groups away and let the processes go."""
        if self._freezer is not None:
            self._freezer.dissolve()
        self._stop.forget()
        self._tree.close()

    def _close(self, until_s: float) -> None:
        """Until no descendant can be born unseen: by signals, then by the freezer."""
        if self._freezer is None:
            if self._tree.settle(min(until_s, time.monotonic() + _SIGNALS_S)):
                return
            self._freezer = first_usable(self._stop.name, self._stop)
            if self._freezer is None:
                return
            self._tree.change_brake(self._freezer)
        self._tree.settle(until_s)

    def _kill(self) -> None:
        freezer = self._freezer
        if freezer is not None:
            self._tree.add_all(freezer.members())  # born inside of parents that ended
            freezer.kill()
        for process in self._tree.members.values():
            process.signal(signal.SIGKILL)
        if freezer is not None:
            freezer.thaw()

    def _wait_ended(self, until_s: float) -> None:
        left = list(self._tree.members.values())
        freed_s = time.monotonic() + _FROZEN_S
        while left := [process for process in left if not process.has_ended()]:
            now_s = time.monotonic()
            if now_s >= until_s:
                break
            if now_s >= freed_s:
                free_killed(left)
                freed_s = until_s
            time.sleep(PAUSE_S)
        self._left = left


responder_class = Kill
