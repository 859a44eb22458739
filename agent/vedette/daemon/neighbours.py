"""Looks whether the agent's other processes run, and lets go on what somebody stopped.

Rule 1: one that ended is restarted by whoever started it; one that is stopped (SIGSTOP, a debugger)
nobody would miss: it keeps its pid, its sockets and its silence.
Rule 2: SIGCONT puts back what a signal did. A debugger's hold can only be told.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from vedette.codec.procfs import parse_stat
from vedette.errors import ParseError

_STOPPED: Final = "T"
_TRACED: Final = "t"
"""proc(5), field 3."""


class Held(NamedTuple):
    """A process of ours that did not run when it was looked at."""

    name: str
    pid: int
    is_traced: bool


class Neighbours:
    """Watches the other processes of the agent.

    Args:
        proc: where proc(5) is mounted.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._held: set[int] = set()

    def held(self, pids: Mapping[str, int]) -> list[Held]:
        """Those that are stopped or traced, each told once for as long as it is; sends SIGCONT.

        Args:
            pids: by the part's name; 0 where it does not run.
        """
        found = [held for name, pid in pids.items() if (held := self._look(name, pid)) is not None]
        new = [held for held in found if held.pid not in self._held]
        self._held = {held.pid for held in found}
        for held in found:
            if not held.is_traced:
                with contextlib.suppress(OSError):  # it ended, or is no longer ours to signal
                    os.kill(held.pid, signal.SIGCONT)
        return new

    def _look(self, name: str, pid: int) -> Held | None:
        if pid <= 1:
            return None
        try:
            state = parse_stat((self._proc / str(pid) / "stat").read_bytes()).state
        except (OSError, ParseError):
            return None
        return Held(name, pid, state == _TRACED) if state in {_STOPPED, _TRACED} else None
