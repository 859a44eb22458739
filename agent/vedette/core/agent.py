"""The core: `handle(input) -> commands`, every decision the agent takes.

Rule 1: no clock, no I/O, no chance: the same inputs give the same commands.
Rule 2: the hot path (event -> findings) is one synchronous call on a batch.
Rule 3: findings are never fed back into detection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vedette.codec import ocsf
from vedette.core import enrich
from vedette.core.baseline import ChangeHints
from vedette.core.commands import Append, Command, Rescan, Wake
from vedette.core.defence import Defence
from vedette.core.detection import Detection
from vedette.core.engine import Engine
from vedette.core.findings import AgentSettings, Findings, Sighting
from vedette.core.inputs import (
    Continued,
    DrillBegun,
    DrillEnded,
    Input,
    LearningSet,
    LookedUp,
    Observed,
    OwnProcesses,
    ProfileLoaded,
    Reported,
    Resolved,
    RulesLoaded,
    RuleSlow,
    Seeded,
    Standing,
    Stopping,
    Swept,
    Ticked,
    UpdateAnnounced,
    UsersChanged,
)
from vedette.core.ledger import Ledger
from vedette.core.names import Names
from vedette.core.process_table import ProcessTable
from vedette.core.profile import ProfileWatch
from vedette.core.sweep import Sweep, SweepWatch
from vedette.core.tamper import TamperWatch
from vedette.core.update_family import UpdateFamily
from vedette.model.baseline import Hint
from vedette.model.event import (
    ConnectionOpened,
    Event,
    EventClass,
    EventsLost,
    FileChanged,
    KernelActivity,
    ListenerOpened,
    LogLine,
    NameQueried,
    NameResolved,
    ProcessExited,
    ProcessForked,
    ProcessStarted,
    TierChanged,
)
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft

__all__ = ["Agent", "AgentSettings"]

LATE_S = 2.0
MAX_GONE = 256
"""Deleted files that are judged again when their execution is told late."""

TWICE_S = 15.0
"""Two sources may tell of one listener: three looks of the slower one."""
MAX_LISTENING = 256


class Agent:
    """Turns inputs into commands; its parts are public for those who answer questions."""

    def __init__(self, settings: AgentSettings) -> None:
        self._commands: list[Command] = []
        self._wake_s: float | None = None
        self.processes = ProcessTable()
        self.names = Names()
        self.sweeps = SweepWatch()
        self.ledger = Ledger()
        self.hints = ChangeHints()
        self._gone: dict[str, FileChanged] = {}
        self._listening: dict[tuple[str, str, int], tuple[str, float]] = {}
        self._findings = Findings(settings, self.processes, self.ledger, self._commands)
        self.incidents = self._findings.incidents
        self.tamper = TamperWatch(self._findings, self.processes)
        self.updates = UpdateFamily()
        self.profile = ProfileWatch(self._findings, self._commands)
        self.defence = Defence(settings, self._findings, self.processes, self._commands)
        self._findings.answer = self.defence.found
        self.detection = Detection(settings.device_class, self._findings, self._commands)
        self._on_event: dict[type[Any], Callable[[Any], None]] = {
            ProcessStarted: self._process_started,
            ProcessForked: self.processes.fork,
            ProcessExited: self._process_exited,
            FileChanged: self._file_changed,
            ConnectionOpened: self._connection_opened,
            ListenerOpened: self._listener_opened,
            NameQueried: self._name_queried,
            NameResolved: self._name_resolved,
            KernelActivity: self._kernel_activity,
            LogLine: self._log_line,
            EventsLost: self._events_lost,
            TierChanged: self._tier_changed,
        }

    @property
    def engine(self) -> Engine | None:
        """The rules in use, indexed; None before the first bundle."""
        return self.detection.engine

    def redact(self, text: str) -> str:
        """A text without what the rules in use call secret."""
        return self._findings.redact(text)

    def handle(self, given: Input) -> list[Command]:  # noqa: C901, PLR0912 - one case for each input
        """Take one input; returns what is to be done, in order."""
        self._findings.offset_s = given.wall_s - given.at_s
        match given:
            case Observed():
                self._observed(given)
            case Resolved():
                if not self.profile.resolved(given):
                    self._findings.resolved(given)
            case Ticked():
                self._wake_s = None
                self.profile.tick(given.at_s)
                self._findings.tick(given.at_s)
                self.detection.tick(given.at_s)
                self.defence.tick(given.at_s)
            case Swept():
                self.processes.sweep(given.alive, given.at_s)
            case Seeded():
                self._findings.users = dict(given.users)
                self._learn(given.processes, given.at_s)
            case LookedUp():
                self._learn(given.processes, given.at_s)
            case UsersChanged():
                self._findings.users = dict(given.users)
            case Stopping():
                self.profile.settle()
                self._findings.stop(given.at_s)
            case RulesLoaded():
                self.detection.load(given.bundle, given.at_s, is_trial=given.is_trial)
            case ProfileLoaded():
                self.profile.load(given.profile)
                self._hold_standing(given.at_s)
            case LearningSet():
                self.profile.learn(given.learnt)
                self._hold_standing(given.at_s)
            case Standing():
                for listener in given.listeners:
                    self.profile.listener(listener, self.processes.get(listener.pid))
            case Continued():
                self.detection.go_on(given.at_s)
            case RuleSlow():
                self.detection.slow(given)
            case Reported():
                self._reported(given)
            case OwnProcesses() | UpdateAnnounced():
                self._learn_ours(given)
            case DrillBegun():
                self.detection.drills.begin(given)
            case DrillEnded():
                self.detection.end_drill(given)
            case _:
                self.defence.handle(given)
        return self._take_commands(given.at_s)

    def unknown_pids(self, events: Sequence[Event]) -> dict[int, float]:
        """Pids that these events speak of and the process table does not hold.

        A tier that sees only execs knows no process that was begun before it, or by fork alone;
        the shell looks these up and tells them before the batch.

        Returns:
            By pid, when the first event spoke of it: a process that began later is another one.
        """
        known = self.processes
        wanted: dict[int, float] = {}
        for event in events:
            pid = event.ppid if isinstance(event, ProcessStarted) else getattr(event, "pid", 0)
            if pid > 0 and pid not in known:
                wanted.setdefault(pid, event.at_s)
        return wanted

    def _learn(self, processes: Sequence[ProcessStarted], at_s: float) -> None:
        for process in sorted(processes, key=lambda process: process.start_ticks):
            known = self.processes.start(process)  # parents began before their children
            self.profile.standing(known, self.processes.get(known.ppid), at_s)

    def _learn_ours(self, given: OwnProcesses | UpdateAnnounced) -> None:
        if isinstance(given, OwnProcesses):
            self.tamper.learn(given.pids)
        else:
            self.updates.announce(given.pids, given.at_s)

    def _hold_standing(self, at_s: float) -> None:
        """A profile, and whoever learns one, begins with the processes there are."""
        for process in self.processes:
            if not process.has_ended:
                self.profile.standing(process, self.processes.get(process.ppid), at_s)

    def _take_commands(self, at_s: float) -> list[Command]:
        self._findings.trim(at_s)
        held_s = _earlier(self.profile.next_s(), self.detection.next_s())
        held_s = _earlier(held_s, self.defence.next_s())
        is_sooner = held_s is not None and self._wake_s is not None and held_s < self._wake_s
        if self._wake_s is None or self._commands or is_sooner:
            next_s = _earlier(self.incidents.next_s(), held_s)
            if next_s is not None and next_s != self._wake_s:
                self._wake_s = next_s
                self._commands.append(Wake(next_s))
        commands = self._commands.copy()
        self._commands.clear()
        return commands

    def _observed(self, given: Observed) -> None:
        handlers = self._on_event
        for event in given.events:
            handlers[type(event)](event)
        self.ledger.count("core", "all", len(given.events), len(given.events))
        self.detection.settle(given.at_s)

    def _process_started(self, event: ProcessStarted) -> None:
        process = self.processes.start(event)
        parent = self.processes.get(process.ppid)
        fields = enrich.process_creation(event, process, parent, self._findings.users)
        if parent is not None and self.updates.has(parent):
            enrich.mark_of_update(fields)
        self.detection.judge("process_creation", EventClass.PROCESS, event, fields, process)
        if self.profile.is_on:
            self.profile.process_started(event, process, parent, fields)
        gone = self._gone.pop(event.image, None) if self._gone else None
        if gone is not None and 0.0 <= gone.at_s - event.at_s <= LATE_S:
            self._file_changed(gone)  # it was running then, and is known to have been now

    def _process_exited(self, event: ProcessExited) -> None:
        self.processes.end(event.pid, event.at_s)

    def _file_changed(self, event: FileChanged) -> None:
        fields = enrich.file_event(event, self.processes, self._findings.users)
        if event.action == "deleted" and "TargetRunning" not in fields:
            self._remember_gone(event)
        process = self.processes.get(event.pid)
        if process is not None:
            hint = Hint(process.pid, process.image, event.at_s)
            self.hints.note(event.path, hint)
        self.detection.judge("file_event", EventClass.FILE, event, fields, process)

    def _remember_gone(self, event: FileChanged) -> None:
        """Sources have delays of their own: the execution of a deleted file may be told after."""
        self._gone.pop(event.path, None)
        self._gone[event.path] = event
        if len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]

    def _connection_opened(self, event: ConnectionOpened) -> None:
        self._connection(event, self.names.name_of(event))
        for sweep in self.sweeps.observe(event):
            self._sweep(sweep)

    def _connection(self, event: ConnectionOpened, name: str) -> None:
        process = self.processes.get(event.pid)
        fields = enrich.network_connection(event, name, process, self._findings.users)
        self.detection.judge("network_connection", EventClass.NETWORK, event, fields, process)
        if self.profile.is_on:
            self.profile.connection(event, name, process)

    def _sweep(self, sweep: Sweep) -> None:
        process = self.processes.get(sweep.pid)
        fields = enrich.network_sweep(sweep, process, self._findings.users)
        self.detection.judge("network_sweep", EventClass.NETWORK, sweep.connection, fields, process)

    def _listener_opened(self, event: ListenerOpened) -> None:
        if self._is_told_by_another(event):
            return
        process = self.processes.get(event.pid)
        fields = enrich.listener_opened(event, process, self._findings.users)
        self.detection.judge("listener_opened", EventClass.NETWORK, event, fields, process)
        if self.profile.is_on:
            self.profile.listener(event, process)

    def _is_told_by_another(self, event: ListenerOpened) -> bool:
        """Whether another source told of it lately: one looks at all sockets every few seconds."""
        key = (event.protocol, event.address, event.port)
        known = self._listening.pop(key, None)
        if known is not None and known[0] != event.tier and event.at_s - known[1] <= TWICE_S:
            self._listening[key] = known
            return True
        self._listening[key] = (event.tier, event.at_s)
        if len(self._listening) > MAX_LISTENING:
            del self._listening[next(iter(self._listening))]
        return False

    def _name_queried(self, event: NameQueried) -> None:
        self.detection.judge("dns_query", EventClass.NETWORK, event, enrich.dns_query(event), None)

    def _name_resolved(self, event: NameResolved) -> None:
        for connection in self.names.learn(event):
            self._connection(connection, event.name)

    def _kernel_activity(self, event: KernelActivity) -> None:
        process = self.processes.get(event.pid)
        fields = enrich.kernel_activity(event, process, self._findings.users)
        self.detection.judge("kernel_activity", EventClass.KERNEL, event, fields, process)
        self.tamper.judge(event, process)

    def _log_line(self, event: LogLine) -> None:
        fields = enrich.log_line(event)
        process = self.processes.get(event.pid)
        self.detection.judge(f"service:{event.service}", EventClass.LOG, event, fields, process)

    def _events_lost(self, event: EventsLost) -> None:
        self.ledger.lose(event)
        if event.event_class is EventClass.FILE and event.stage == "kernel":
            self._commands.append(Rescan(f"{event.tier} lost events: {event.reason}"))
        fields = {
            "Class": event.event_class,
            "Stage": event.stage,
            "Lost": str(event.lost) if event.lost else "some",
            "Reason": event.reason,
        }
        seen = Sighting(event.event_class, event.tier, event.at_s, fields, None)
        severity = Severity.MEDIUM if event.stage == "kernel" else Severity.LOW
        title = f"Events of class {event.event_class} were lost"
        self._findings.of_ours("events-lost", title, severity, seen)

    def _tier_changed(self, event: TierChanged) -> None:
        body = {
            "class": event.event_class, "tier": event.tier, "previous": event.previous,
            "reason": event.reason,
        }  # fmt: skip
        self._append("tier", event.at_s, ocsf.canonical(body))
        if not event.previous:
            return
        fields = {
            "Class": event.event_class, "Reason": event.reason, "Previous": event.previous,
        }  # fmt: skip
        seen = Sighting(event.event_class, event.tier, event.at_s, fields, None)
        self._findings.of_ours("tier-changed", _title_of(event), _severity_of(event), seen)

    def _reported(self, given: Reported) -> None:
        process = self.processes.get(given.pid) if given.pid else None
        seen = Sighting(EventClass.AGENT, "agent", given.at_s, given.fields, process)
        self._findings.of_ours(given.condition, given.title, given.severity, seen, given.tags)

    def _append(self, kind: str, at_s: float, body: bytes) -> None:
        wall_s = at_s + self._findings.offset_s
        draft = EntryDraft(kind, Severity.INFORMATIONAL, wall_s, body, "", "", is_routine=True)
        self._commands.append(Append(draft, None))


def _earlier(first_s: float | None, second_s: float | None) -> float | None:
    if first_s is None or second_s is None:
        return second_s if first_s is None else first_s
    return min(first_s, second_s)


def _title_of(event: TierChanged) -> str:
    if event.tier == event.previous:
        return f"{event.tier} had stopped seeing {event.event_class} events, and was started again"
    watcher = event.tier or "nothing"
    return f"{event.event_class} is watched by {watcher} instead of {event.previous}"


def _severity_of(event: TierChanged) -> Severity:
    if event.is_better:
        return Severity.LOW
    return Severity.HIGH if event.tier else Severity.CRITICAL
