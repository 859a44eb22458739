"""Holds processes by SIGSTOP: in effect within microseconds, everywhere.

Rule 1: who was stopped before stays stopped when we let go.
Rule 2: it is the weaker brake: anybody of the same user may send SIGCONT, a tracer may keep the
signal back, and a parent sees it. What must hold for long is frozen (_freezer.py).
"""

from __future__ import annotations

import signal
from typing import Final

from vedette.responses._process_handle import ProcessHandle, read_stat, read_tasks

AT_REST: Final = frozenset("TtZXx")
STOPPED: Final = frozenset("Tt")


class StopSignals:
    """A brake (_process_tree.Brake).

    Attributes:
        stopped: those that ran until we stopped them, by pid.
    """

    def __init__(self) -> None:
        self.stopped: dict[int, ProcessHandle] = {}

    def hold(self, process: ProcessHandle) -> None:
        """Stop it, as soon as it next runs in user space."""
        if process.stat.state not in STOPPED:
            self.stopped[process.pid] = process
        process.signal(signal.SIGSTOP)

    def is_held(self, process: ProcessHandle) -> bool:
        """Whether each of its threads has stopped: none is in the middle of a fork."""
        return all(is_at_rest(f"{process.pid}/task/{task}") for task in read_tasks(process.pid))

    def release(self) -> None:
        """Let all go on that we stopped."""
        for process in self.stopped.values():
            process.signal(signal.SIGCONT)
        self.stopped.clear()


def is_at_rest(task: str) -> bool:
    """Whether a thread ("PID/task/TID") is stopped or has ended."""
    stat = read_stat(task)
    return stat is None or stat.state in AT_REST
