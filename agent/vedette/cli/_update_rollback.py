"""Goes back to what was in use before, by whoever keeps it: sentinel, slots, store of models."""

from __future__ import annotations

from vedette.daemon import update_run
from vedette.daemon.config import Config
from vedette.daemon.control_client import ask
from vedette.daemon.models.in_use import DeviceModels
from vedette.daemon.step_teller import StepTeller
from vedette.errors import RequestError
from vedette.model.release import ReleaseKind
from vedette.model.update import Cause, Step

TIMEOUT_S = 60.0


def roll_back(config: Config, kind: str, name: str, by: str, reason: str) -> str:
    """Go back one step; returns words for people.

    Raises:
        RequestError: there is nothing to go back to, or an update is under way.
        DeviceError: it could not be done.
    """
    if kind == "rules":
        params = {"by": by, "reason": reason}
        answer = ask(config.control_socket, "update.rollback", {**params}, timeout_s=TIMEOUT_S)
        return f"rules with counter {answer['counter']} are in use again"
    with update_run.alone(config, by):
        if kind == "model":
            return _model(config, name, by, reason)
        from vedette.daemon.appliers import firmware  # noqa: PLC0415 (the installer's libraries)

        return firmware.roll_back(config, by, reason)


def _model(config: Config, name: str, by: str, reason: str) -> str:
    models = DeviceModels(config.models)
    names = models.names()
    if not name and len(names) != 1:
        raise RequestError(f"expected the name of a model, there are {', '.join(names) or 'none'}")
    name = name or names[0]
    problem = models.roll_back(name)
    digest = models.pointers(name).current
    teller = StepTeller(config.control_socket, config.updates_folder / "steps", by=by)
    teller.name(
        Step.ROLLED_BACK, ReleaseKind.MODEL, name, digest=digest, cause=Cause.OPERATOR,
        reason=f"{reason}; its user could not be told: {problem}" if problem else reason,
    )  # fmt: skip
    return f"model {name}: {digest[:16] or 'none'} is in use again"
