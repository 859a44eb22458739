"""Restarts a unit of systemd: what was put into its processes' memory is gone afterwards.

Rule: it is done when the unit runs as another invocation (systemd.exec(5), $INVOCATION_ID) than the
one that was seen before; there is nothing to undo.
"""

from __future__ import annotations

from typing import ClassVar

from vedette.errors import ResponseError
from vedette.model.response import Order, Outcome, ResponseStatus, Target, UndoRecord, UnitTarget
from vedette.ports.responder import Responder, ResponderContext
from vedette.responses._service_manager import CHANGE_TIMEOUT_S, ServiceManager


class RestartUnit(Responder):
    """Gives a service of the device a fresh process."""

    target_type: ClassVar[type[Target]] = UnitTarget
    has_undo: ClassVar[bool] = False
    timeout_s: ClassVar[float] = CHANGE_TIMEOUT_S + 10.0

    def __init__(self, context: ResponderContext) -> None:
        super().__init__(context)
        self._manager = ServiceManager(context)

    def unavailable(self) -> str:
        """Why this device cannot do it, or ""."""
        return self._manager.unavailable()

    def plan(self, order: Order) -> UndoRecord:
        """Which run of the unit is to end."""
        state = self._manager.target(order)
        if not (state.can_stop and state.can_start):
            raise ResponseError(
                f"{state.unit} refuses to be restarted (RefuseManualStart=, -Stop=)"
            )
        if state.active == "inactive":
            raise ResponseError(f"expected {state.unit} to run, it is inactive: it was not started")
        return {"unit": state.unit, "invocation": state.invocation}

    def act(self, order: Order, record: UndoRecord) -> Outcome:
        """Restart it, and look whether another run of it is up; a second call changes nothing."""
        unit, before = str(record["unit"]), str(record["invocation"])
        try:
            self._manager.settle()
            state, problem = self._manager.target(order), ""
            if state.invocation == before or not state.is_up:
                problem = self._manager.change("restart", unit)
                state = self._manager.state(unit)
        except ResponseError as error:
            return Outcome(ResponseStatus.REFUSED, str(error), {"unit": unit})
        except OSError as error:
            return Outcome(ResponseStatus.FAILED, f"not begun: {error}", {"unit": unit})
        facts = {"unit": unit, "active": state.active, "invocation": state.invocation}
        if state.is_up and state.invocation != before:
            return Outcome(ResponseStatus.DONE, f"{unit} was restarted", facts)
        detail = problem or f"{unit} is {state.active} ({state.sub}) after its restart"
        is_partly = state.invocation != before and state.is_wanted_up
        return Outcome(ResponseStatus.PARTLY if is_partly else ResponseStatus.FAILED, detail, facts)

    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        """Nothing is left of it to bring back."""
        del order
        unit = str(record["unit"])
        return Outcome(ResponseStatus.UNDONE, f"nothing is left of the restart of {unit}", {})


responder_class = RestartUnit
