"""Goes back to what was in use before, by whoever keeps it: sentinel, slots, store of models."""

from __future__ import annotations

import os

from vedette.daemon import update_run
from vedette.daemon.config import Config
from vedette.daemon.control_client import ask
from vedette.daemon.models import going_back
from vedette.daemon.models.in_use import DeviceModels
from vedette.daemon.step_teller import StepTeller

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
    if kind == "model":
        return _model(config, name, by, reason)
    with update_run.alone(config, by):
        from vedette.daemon.appliers import firmware  # noqa: PLC0415 (the installer's libraries)

        return firmware.roll_back(config, by, reason)


def _model(config: Config, name: str, by: str, reason: str) -> str:
    """Here and now, beside whatever runs: the installer may be watching this model's trial."""
    models = DeviceModels(config.models)
    return going_back.roll_back(models, lambda: teller(config, by), name, reason)


def teller(config: Config, by: str) -> StepTeller:
    """Who records a step of this process, which the sentinel knows from now on."""
    update_run.announce(config, by, os.getpid())
    return StepTeller(config.control_socket, config.updates_folder / "steps", by=by)
