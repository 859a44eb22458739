"""What the agent says when somebody has a hand on it: each is a finding, and names who where known.

Rule 1: stable conditions (rule id "vedette:<condition>"), so that playbooks and people can rely on
them; docs/threat-model.md lists them with the tests that show them.
Rule 2: what could be put back is put back before it is told, and told so.
"""

from __future__ import annotations

from typing import Final

from vedette.daemon.meddling import Meddling
from vedette.daemon.neighbours import Held
from vedette.daemon.own_files import OwnChange
from vedette.daemon.pressure import Pressed
from vedette.daemon.shell import Shell
from vedette.model.finding import Severity

_FILES: Final = {
    "configuration": (Severity.HIGH, "The agent's configuration was changed"),
    "trust": (Severity.CRITICAL, "The agent's trust document was changed"),
    "key": (Severity.CRITICAL, "A key file of the agent was changed"),
    "rules": (Severity.LOW, "Rules or a profile are offered, or were changed"),
    "unit": (Severity.HIGH, "The service manager's unit of the agent was changed"),
    "program": (Severity.HIGH, "A program of the agent was changed"),
    "socket": (Severity.HIGH, "A socket of the agent was taken away, and made anew"),
}
"""Rules are low: they are signed, and what is offered proves itself when it is loaded."""

_PRESSED: Final = {
    "disk-full": (Severity.HIGH, "The disk that holds the journal is nearly full"),
    "memory-pressed": (Severity.HIGH, "The device is pressed for memory"),
}


class TamperReports:
    """Tells the shell.

    Args:
        shell: takes findings.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def file(self, change: OwnChange, pid: int) -> None:
        """A file of ours is not as it was; `pid` is who was last seen to change it, or 0."""
        severity, title = _FILES[change.kind]
        condition = f"own-{change.kind}-changed"
        self._tell(condition, title, severity, f"{change.path}: {change.what}", change.path, pid)

    def meddling(self, seen: Meddling) -> None:
        """Somebody opened our memory, or wrote in our folders."""
        if seen.is_memory:
            reason = f"pid {seen.pid} opened {seen.path}"
            title = "The memory of the agent was opened"
            self._tell("own-memory-opened", title, Severity.CRITICAL, reason, seen.path, seen.pid)
        else:
            reason = f"pid {seen.pid} changed {seen.path}"
            title = "Somebody else writes where the agent keeps its journal and state"
            self._tell("own-state-changed", title, Severity.CRITICAL, reason, seen.path, seen.pid)

    def clock_set(self, step_s: float) -> None:
        """The wall clock was set by so many seconds."""
        severity = Severity.MEDIUM if step_s > 0 else Severity.HIGH
        reason = f"by {step_s:+.1f} s; times in reports before and after do not fit together"
        self._tell("clock-set", "The device's clock was set", severity, reason, "clock", 0)

    def held(self, held: Held) -> None:
        """A process of ours did not run."""
        if held.is_traced:
            reason = f"{held.name} (pid {held.pid}) is held by a debugger"
        else:
            reason = f"{held.name} (pid {held.pid}) was stopped, and was told to go on"
        title = "A process of the agent was stopped"
        self._tell("part-stopped", title, Severity.CRITICAL, reason, held.name, 0)

    def silent(self, name: str, pid: int, owed_s: float) -> None:
        """A process of ours that runs does not answer, and is ended."""
        title = "A process of the agent hung, and was ended so that another one begins"
        reason = f"{name} (pid {pid}) has not answered for {owed_s:.0f} s"
        self._tell("part-silent", title, Severity.HIGH, reason, name, 0)

    def pressed(self, found: Pressed) -> None:
        """Disk or memory are short."""
        severity, title = _PRESSED[found.condition]
        self._tell(found.condition, title, severity, found.detail, "", 0)

    def journal_in_memory(self, reason: str) -> None:
        """The disk does not take the journal."""
        self._tell(
            "journal-in-memory", "The journal is kept in memory only: the disk does not take it",
            Severity.CRITICAL, reason, "journal", 0,
        )  # fmt: skip

    def watch_removed(self, sensor: str, reason: str) -> None:
        """What a source watches with was taken away, and was put back."""
        title = "Somebody took away what a sensor watches with; it was put back"
        self._tell("watch-removed", title, Severity.CRITICAL, f"{sensor}: {reason}", sensor, 0)

    def way_out_blocked(self, reason: str) -> None:
        """The network is up, and the broker is out of reach."""
        title = "The way to the broker is blocked while the network is up"
        self._tell("uplink-blocked", title, Severity.HIGH, reason, "uplink", 0)

    def _tell(
        self, condition: str, title: str, severity: Severity, reason: str, target: str, pid: int
    ) -> None:
        fields = {"Reason": reason, **({"Target": target} if target else {})}
        self._shell.report(condition, title, severity, fields, pid)
