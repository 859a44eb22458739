"""What a process does to the agent itself: signals, a debugger, its memory, the clock.

Rule 1: the agent's own processes may do all of it to each other, and so may the parent of one: that
is the keeper, or the service manager that started us. Pid 1 is the service manager too.
Rule 2: what only asks (SIGHUP: read the configuration again) is low, what silences us critical.
"""

from __future__ import annotations

from typing import Final

from vedette.core import enrich
from vedette.core.findings import Findings, Sighting
from vedette.core.process_table import Process, ProcessTable
from vedette.model.event import EventClass, KernelActivity
from vedette.model.finding import Severity

_HANGUP: Final = 1
_SILENCING: Final = frozenset({3, 6, 9, 11, 19})
"""signal(7): QUIT, ABRT, KILL, SEGV, STOP; 19 is STOP on x86 and ARM alike."""
_INIT: Final = 1
_DIGITS: Final = 10
"""Of a pid or a signal, at most."""


class TamperWatch:
    """Judges kernel activities by whom they are done to.

    Args:
        findings: where what is found goes.
        processes: who is whose parent.
    """

    def __init__(self, findings: Findings, processes: ProcessTable) -> None:
        self._findings, self._processes = findings, processes
        self._own: frozenset[int] = frozenset()

    def learn(self, pids: frozenset[int]) -> None:
        """These are the agent's processes from now on."""
        self._own = pids

    def judge(self, event: KernelActivity, process: Process | None) -> None:
        """Tell it where it is done to us, or to the clock."""
        if event.activity == "time_set":
            title = "A process set the device's clock"
            self._tell("clock-set", title, Severity.MEDIUM, event, process)
        elif event.activity in _AGAINST and self._is_against_us(event):
            condition, title = _AGAINST[event.activity]
            self._tell(condition, title, _severity(event), event, process)

    def _is_against_us(self, event: KernelActivity) -> bool:
        target = _number(event.target.partition(" ")[0])
        if target not in self._own or event.pid in self._own or event.pid == _INIT:
            return False
        known = self._processes.get(target)
        return event.activity != "signal" or known is None or known.ppid != event.pid

    def _tell(
        self,
        condition: str,
        title: str,
        severity: Severity,
        event: KernelActivity,
        process: Process | None,
    ) -> None:
        fields = enrich.kernel_activity(event, process, self._findings.users)
        seen = Sighting(EventClass.KERNEL, event.tier, event.at_s, fields, process)
        self._findings.of_ours(condition, title, severity, seen)


_AGAINST: Final = {
    "signal": ("own-process-signalled", "A process sent a signal to the agent"),
    "ptrace": ("own-process-traced", "A debugger was attached to the agent"),
    "memory_access": ("own-memory-opened", "A process read or wrote the agent's memory"),
}


def _severity(event: KernelActivity) -> Severity:
    if event.activity != "signal":
        return Severity.CRITICAL
    number = _number(event.target.partition(" ")[2])
    if number == _HANGUP:
        return Severity.LOW
    return Severity.CRITICAL if number in _SILENCING else Severity.HIGH


def _number(text: str) -> int:
    """-1 where a tier told no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else -1
