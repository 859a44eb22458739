"""Which processes are the device's own updates: those that said so, and that were there by then.

Rule 1: who says so is in the journal before it is believed (daemon/update_answers.py); a name, a
path or a command line is never asked, since anybody can have those.
Rule 2: a pid that is used again, or that executes another program, is a stranger: only a program
that had begun when its process was announced belongs to an update.
"""

from __future__ import annotations

from collections.abc import Iterable

from vedette.core.process_table import Process

MOST = 16
"""An update announces three processes, and runs alone: those of the last few are kept."""


class UpdateFamily:
    """Learns from announcements; answers about processes."""

    def __init__(self) -> None:
        self._announced_s: dict[int, float] = {}

    def announce(self, pids: Iterable[int], at_s: float) -> None:
        """These pids belong to an update, as of this time."""
        for pid in pids:
            self._announced_s.pop(pid, None)
            self._announced_s[pid] = at_s
        while len(self._announced_s) > MOST:
            del self._announced_s[next(iter(self._announced_s))]

    def has(self, process: Process) -> bool:
        """Whether this very program announced itself, or was announced, as an update's."""
        announced_s = self._announced_s.get(process.pid)
        return announced_s is not None and process.seen_at_s <= announced_s
