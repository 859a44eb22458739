"""Goes back to what was in use before, by whoever keeps it: the sentinel, or the installer."""

from __future__ import annotations

from vedette.daemon.config import Config
from vedette.daemon.control_client import ask
from vedette.errors import RequestError

TIMEOUT_S = 60.0


def roll_back(config: Config, kind: str, name: str, by: str, reason: str) -> str:
    """Go back one step; returns words for people.

    Raises:
        RequestError: there is nothing to go back to.
        DeviceError: it could not be done.
    """
    if kind == "rules":
        params = {"by": by, "reason": reason}
        answer = ask(config.control_socket, "update.rollback", {**params}, timeout_s=TIMEOUT_S)
        return f"rules with counter {answer['counter']} are in use again"
    raise RequestError(f"no {kind} {name} to go back to")
