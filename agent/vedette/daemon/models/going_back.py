"""Rolls a model back because a person asked for it, at once, whatever else is under way.

Rule: the link is switched first, then its user is told, then the step is recorded: what is wrong
with a model does not wait for the journal.
"""

from __future__ import annotations

from collections.abc import Callable

from vedette.daemon.models.in_use import DeviceModels
from vedette.daemon.step_teller import StepTeller
from vedette.errors import RequestError
from vedette.model.release import ReleaseKind
from vedette.model.update import Cause, Step


def roll_back(
    models: DeviceModels, teller: Callable[[], StepTeller], name: str, reason: str
) -> str:
    """Put what was in use before into use again.

    Args:
        models: of this device.
        teller: makes who takes the step, after the switch: the agent may be slow to answer.
        name: of the model; "" where there is only one.
        reason: why, for the record.

    Returns:
        What was done, for people; that its user could not be told is part of it.

    Raises:
        RequestError: there is no such model, or several and no name.
        StoreError: there is nothing to return to, the disk did not take it, or the step could
            not be recorded.
    """
    chosen = _choose(models, name)
    before = models.pointers(chosen).current
    untold = models.roll_back(chosen)
    after = models.pointers(chosen).current
    told = f"; its user could not be told: {untold}" if untold else ""
    teller().name(
        Step.ROLLED_BACK, ReleaseKind.MODEL, chosen, cause=Cause.OPERATOR, reason=reason + told,
        facts={"from": before, "current": after or "none"},
    )  # fmt: skip
    return f"{chosen}: {after[:16] or 'no model'} is in use again, {before[:16]} was{told}"


def _choose(models: DeviceModels, name: str) -> str:
    names = models.names()
    if not name and len(names) == 1:
        return names[0]
    if name not in names:
        known = ", ".join(names) or "none"
        raise RequestError(f"expected the name of a model of this device ({known}), got {name!a}")
    return name
