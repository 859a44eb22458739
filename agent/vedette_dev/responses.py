"""What the defence of an agent on this machine has done, and how to undo it: asked of the agent.

Rule: nothing is imported that a small device has not got in memory anyway.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from vedette.codec.strict_json import Json
from vedette.daemon.control_client import ask
from vedette.errors import DeviceError

UNDER_WAY_S = 40.0
"""The slowest responder has 30 s."""
LOOK_S = 0.02

BELOW = "-below"
"""Ends the id of a rule's twin that matches below a program of the word's only."""


class Responses:
    """What the defence of a running agent does, asked over its control socket.

    Args:
        socket: the agent's.
        word: what everything that is to be contained holds.
    """

    def __init__(self, socket: Path, word: str) -> None:
        self._socket = socket
        self.word = word

    def expect_enforcing(self, count: int) -> None:
        """See that so many playbooks are in force.

        Raises:
            DeviceError: they are not.
        """
        enforcing = self.defence().get("enforcing")
        if not isinstance(enforcing, list) or len(enforcing) < count:
            raise DeviceError(f"expected the agent to enforce {count} playbooks, got {enforcing}")

    def defence(self) -> Mapping[str, Json]:
        """How the agent's defence stands."""
        found = ask(self._socket, "doctor").get("defence")
        return found if isinstance(found, dict) else {}

    def outcomes(self, since_wall_s: float) -> list[Mapping[str, Json]]:
        """What came of responses since then, oldest first: entries of the journal."""
        found = ask(self._socket, "responses.list", {"limit": 200}).get("entries")
        rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
        return [
            row
            for row in reversed(rows)
            if row.get("phase") == "outcome" and _number(row, "wall_s") >= since_wall_s
        ]

    def undo_all(self) -> list[Mapping[str, Json]]:
        """Undo what is in force, once nothing is under way; returns what came of each."""
        ends_s = time.monotonic() + UNDER_WAY_S
        while any(row.get("state") != "held" for row in self._active()):
            if time.monotonic() > ends_s:
                raise DeviceError(f"a response is still under way after {UNDER_WAY_S:g} s")
            time.sleep(LOOK_S)
        return [
            {**row, **ask(self._socket, "responses.undo", {"id": str(row["id"])}, timeout_s=60.0)}
            for row in self._active()
        ]

    def _active(self) -> list[Mapping[str, Json]]:
        active = ask(self._socket, "responses.list", {"limit": 1}).get("active")
        return [row for row in active if isinstance(row, dict)] if isinstance(active, list) else []


def _number(row: Mapping[str, Json], name: str) -> float:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
