"""Stops a unit of systemd with what would start it again, and starts both again at the undo.

Rule 1: sockets, timers and paths that trigger the unit are stopped before it, those alone that were
up, and are started again before it.
Rule 2: it holds over a reboot: systemd starts what is enabled, and the agent stops it again.
Rule 3: of several responses that stop one unit the last one undone starts it; who holds it is noted
in the state folder.
Rule 4: a unit that was down when it was planned stays down at the undo.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
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
        """What runs now, or ran before another response stopped it: the unit and its triggers."""
        state = self._manager.target(order)
        if not state.can_stop:
            raise ResponseError(f"{state.unit} refuses to be stopped (RefuseManualStop=)")
        held = next(self._others(order.response_id, state.unit), None)
        if held is not None and not state.is_wanted_up:
            return held
        up = [name for name in state.triggers if self._manager.state(name).is_wanted_up]
        return {
            "unit": state.unit,
            "was": "up" if state.is_wanted_up else "down",
            "triggers": " ".join(up),
        }

    def act(self, order: Order, record: UndoRecord) -> Outcome:
        """Stop them, and look whether they are down."""
        unit, triggers = str(record["unit"]), str(record["triggers"]).split()
        try:
            self._manager.settle()
            self._manager.target(order)
            self._hold(order, record)
            problem = self._manager.change("stop", *triggers, unit)
            return self._judge(unit, triggers, problem)
        except ResponseError as error:
            return Outcome(ResponseStatus.REFUSED, str(error), {"unit": unit})
        except OSError as error:
            return Outcome(ResponseStatus.FAILED, f"not begun: {error}", {"unit": unit})

    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        """Start what ran before, and look whether it is up."""
        unit, triggers = str(record["unit"]), str(record["triggers"]).split()
        try:
            self._manager.settle()
            if next(self._others(order.response_id, unit), None) is not None:
                self._release(order)
                detail = f"{unit} stays stopped: another response still wants it so"
                return Outcome(ResponseStatus.UNDONE, detail, {"unit": unit})
            outcome = self._start([*triggers, unit] if record["was"] == "up" else triggers, unit)
        except (ResponseError, OSError) as error:
            return Outcome(ResponseStatus.FAILED, f"not undone: {error}", {"unit": unit})
        if outcome.status is ResponseStatus.UNDONE:
            self._release(order)
        return outcome

    def holds(self, order: Order, record: UndoRecord) -> bool:
        """Whether it is still down."""
        del order
        return self._manager.state(str(record["unit"])).is_down

    def _judge(self, unit: str, triggers: list[str], problem: str) -> Outcome:
        after = self._manager.state(unit)
        facts = {"unit": unit, "active": after.active, "sub": after.sub}
        if not after.is_down:
            is_going = after.active == "deactivating"
            status = ResponseStatus.PARTLY if is_going else ResponseStatus.FAILED
            return Outcome(status, problem or f"{unit} is {after.active} after its stop", facts)
        again = [name for name in triggers if not self._manager.state(name).is_down]
        if again:
            detail = f"{unit} is down, but {', '.join(again)} can start it again: {problem}"
            return Outcome(ResponseStatus.PARTLY, detail, facts)
        with_it = f" with {', '.join(triggers)}" if triggers else ""
        return Outcome(ResponseStatus.DONE, f"{unit} is stopped{with_it}", facts)

    def _start(self, wanted: list[str], unit: str) -> Outcome:
        if self._manager.state(unit).load != "loaded":
            detail = f"{unit} is no longer there: nothing is left to start"
            return Outcome(ResponseStatus.UNDONE, detail, {"unit": unit})
        down = [name for name in wanted if not self._manager.state(name).is_wanted_up]
        problem = self._manager.change("start", *down) if down else ""
        left = [name for name in wanted if not self._manager.state(name).is_wanted_up]
        if left:
            detail = f"{', '.join(left)} did not start: {problem or 'systemd says no more'}"
            is_partly = len(left) < len(wanted)
            status = ResponseStatus.PARTLY if is_partly else ResponseStatus.FAILED
            return Outcome(status, detail, {"unit": unit})
        detail = f"{', '.join(wanted)} up again" if wanted else f"{unit} was down before"
        return Outcome(ResponseStatus.UNDONE, detail, {"unit": unit})

    def _others(self, response_id: str, unit: str) -> Iterator[UndoRecord]:
        """What other responses noted that stop the same unit; a note that is damaged is none."""
        for note in sorted(self.context.state_dir.glob("*.held")):
            if note.stem == response_id:
                continue
            try:
                record = json.loads(note.read_text())
            except (OSError, ValueError):
                continue
            if isinstance(record, dict) and record.get("unit") == unit:
                yield {name: str(record.get(name, "")) for name in ("unit", "was", "triggers")}

    def _hold(self, order: Order, record: UndoRecord) -> None:
        note = self._note(order)
        note.with_suffix(".new").write_text(json.dumps(dict(record)))
        note.with_suffix(".new").replace(note)

    def _release(self, order: Order) -> None:
        self._note(order).unlink(missing_ok=True)

    def _note(self, order: Order) -> Path:
        return self.context.state_dir / f"{order.response_id}.held"


responder_class = StopUnit
