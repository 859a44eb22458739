"""Stops a unit of systemd with what would start it again, and starts both again at the undo.

Rule 1: sockets, timers and paths that trigger the unit are stopped before it, those alone that were
up, and are started again before it.
Rule 2: it holds over a reboot: systemd starts what is enabled, and the agent stops it again.
Rule 3: a unit that ran for nobody (it was down) stays down at the undo.
"""

from __future__ import annotations

from typing import ClassVar

from vedette.errors import ResponseError
from vedette.model.response import Order, Outcome, ResponseStatus, Target, UndoRecord, UnitTarget
from vedette.ports.responder import Responder, ResponderContext
from vedette.responses._service_manager import CHANGE_TIMEOUT_S, ServiceManager


class StopUnit(Responder):
    """Takes a service of the device out of action until the undo."""

    target_type: ClassVar[type[Target]] = UnitTarget
    has_undo: ClassVar[bool] = True
    outlives_reboot: ClassVar[bool] = True
    timeout_s: ClassVar[float] = CHANGE_TIMEOUT_S + 10.0

    def __init__(self, context: ResponderContext) -> None:
        super().__init__(context)
        self._manager = ServiceManager(context)

    def unavailable(self) -> str:
        """Why this device cannot do it, or ""."""
        return self._manager.unavailable()

    def plan(self, order: Order) -> UndoRecord:
        """What runs now: the unit and its triggers."""
        state = self._manager.target(order)
        if not state.can_stop:
            raise ResponseError(f"{state.unit} refuses to be stopped (RefuseManualStop=)")
        up = [name for name in state.triggers if self._is_wanted_up(name)]
        return {
            "unit": state.unit,
            "was": "up" if state.is_wanted_up else "down",
            "triggers": " ".join(up),
        }

    def act(self, order: Order, record: UndoRecord) -> Outcome:
        """Stop them, and look whether they are down."""
        unit, triggers = str(record["unit"]), str(record["triggers"]).split()
        state = self._manager.target(order)
        if state.unit != unit:
            return _refused(f"{order.target} meant {unit} and now means {state.unit}")
        problem = self._manager.change("stop", *triggers, unit)
        after = self._manager.state(unit)
        facts = {"unit": unit, "active": after.active, "sub": after.sub}
        if not after.is_down:
            status = ResponseStatus.PARTLY if after.active == "deactivating" else _FAILED
            return Outcome(status, problem or f"{unit} is {after.active} after its stop", facts)
        again = [name for name in triggers if not self._manager.state(name).is_down]
        if again:
            detail = f"{unit} is down, but {', '.join(again)} can start it again: {problem}"
            return Outcome(ResponseStatus.PARTLY, detail, facts)
        with_it = f" with {', '.join(triggers)}" if triggers else ""
        was = "" if record["was"] == "up" else "; it was down before"
        return Outcome(ResponseStatus.DONE, f"{unit} is stopped{with_it}{was}", facts)

    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        """Start what ran before, and look whether it is up."""
        del order
        unit, triggers = str(record["unit"]), str(record["triggers"]).split()
        wanted = [*triggers, unit] if record["was"] == "up" else triggers
        down = [name for name in wanted if not self._manager.state(name).is_wanted_up]
        problem = self._manager.change("start", *down) if down else ""
        left = [name for name in wanted if not self._manager.state(name).is_wanted_up]
        if left:
            detail = f"{', '.join(left)} did not start: {problem or 'systemd says no more'}"
            status = ResponseStatus.PARTLY if len(left) < len(wanted) else _FAILED
            return Outcome(status, detail, {"unit": unit})
        what = f"{unit} runs again" if record["was"] == "up" else f"{unit} was down before"
        return Outcome(ResponseStatus.UNDONE, what, {"unit": unit})

    def holds(self, order: Order, record: UndoRecord) -> bool:
        """Whether it is still down."""
        del order
        return self._manager.state(str(record["unit"])).is_down

    def _is_wanted_up(self, unit: str) -> bool:
        return self._manager.state(unit).is_wanted_up


_FAILED = ResponseStatus.FAILED


def _refused(why: str) -> Outcome:
    return Outcome(ResponseStatus.REFUSED, why, {})


responder_class = StopUnit
