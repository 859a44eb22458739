"""Holds processes by SIGSTOP: in effect within microseconds, everywhere.

Rule: it is the weaker brake: anybody of the same user may send SIGCONT, a tracer may keep the
signal back, and a parent sees it. What must hold for long is frozen (_freezer.py).
"""

from __future__ import annotations

import signal
from typing import Final

from vedette.responses._process_handle import ProcessHandle, read_stat, read_tasks

AT_REST: Final = frozenset("TtZXx")
STOPPED: Final = frozenset("Tt")


class StopSignals:
    """A brake (_process_tree.Brake)."""

    def hold(self, process: ProcessHandle) -> None:
        """Stop it, as soon as it next runs in user space."""
        process.signal(signal.SIGSTOP)

    def is_held(self, process: ProcessHandle) -> bool:
        """Whether each of its threads has stopped: none is in the middle of a fork."""
        return all(is_at_rest(f"{process.pid}/task/{task}") for task in read_tasks(process.pid))


def is_at_rest(task: str) -> bool:
    """Whether a thread ("PID/task/TID") is stopped or has ended."""
    stat = read_stat(task)
    return stat is None or stat.state in AT_REST
