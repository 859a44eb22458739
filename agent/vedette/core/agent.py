"""The core: `handle(input) -> commands`, every decision the agent takes.

Rule 1: no clock, no I/O, no chance: the same inputs give the same commands.
Rule 2: the hot path (event -> findings) is one synchronous call on a batch.
Rule 3: details that cost I/O (digest, unit) are asked for only when an incident begins or shows
something new; a storm of equal findings costs one question.
Rule 4: findings are never fed back into detection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, assert_never

from vedette.codec import ocsf
from vedette.core import enrich
from vedette.core.baseline import ChangeHints
from vedette.core.commands import Append, Command, Rescan, Resolve, Subject, Wake
from vedette.core.engine import Engine
from vedette.core.incidents import MAX_OPEN, Incidents, Key
from vedette.core.inputs import (
    Input,
    LookedUp,
    Observed,
    Reported,
    Resolved,
    RulesLoaded,
    Seeded,
    Stopping,
    Swept,
    Ticked,
    UsersChanged,
)
from vedette.core.ledger import Ledger
from vedette.core.names import Names
from vedette.core.process_table import Process, ProcessTable, facts
from vedette.core.redact import Redactor
from vedette.core.sweep import Sweep, SweepWatch
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
from vedette.model.finding import Finding, Incident, Severity
from vedette.model.journal import EntryDraft
from vedette.model.process import ProcessFacts, ProcessKey
from vedette.model.rule import AllOf, Bundle, Rule

OWN_AUTHOR = "Vedette"
MAX_PENDING = 64
"""Questions to the shell that may be open; above it a finding is told without the answer."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Who decides, and with what patience.

    Attributes:
        device: as the fleet knows it.
        boot: the kernel's boot id, 32 hex digits.
        quiet_s: an incident without findings for so long is closed.
    """

    tenant: str
    device: str
    boot: str
    quiet_s: float = 120.0


class _Pending(NamedTuple):
    key: Key
    finding: Finding


class Agent:
    """Turns inputs into commands."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self.processes = ProcessTable()
        self.names = Names()
        self.sweeps = SweepWatch()
        self.ledger = Ledger()
        self.hints = ChangeHints()
        self.incidents = Incidents(f"{settings.device}|{settings.boot}", settings.quiet_s)
        self.engine: Engine | None = None
        self._bundle = ""
        self._redact = Redactor(())
        self._users: dict[int, str] = {}
        self._pending: dict[int, _Pending] = {}
        self._ticket = 0
        self._wake_s: float | None = None
        self._commands: list[Command] = []
        self._offset_s = 0.0
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

    def handle(self, given: Input) -> list[Command]:  # noqa: C901 - one case for each input
        """Take one input; returns what is to be done, in order."""
        self._offset_s = given.wall_s - given.at_s
        match given:
            case Observed():
                self._observed(given)
            case Resolved():
                self._resolved(given)
            case Ticked():
                self._wake_s = None
                self._tell_all(self.incidents.tick(given.at_s))
            case Swept():
                self.processes.sweep(given.alive, given.at_s)
            case Seeded():
                self._users = dict(given.users)
                self._learn(given.processes)
            case LookedUp():
                self._learn(given.processes)
            case UsersChanged():
                self._users = dict(given.users)
            case Stopping():
                self._stop(given.at_s)
            case RulesLoaded():
                self._adopt(given.bundle)
            case Reported():
                self._reported(given)
            case _:
                assert_never(given)
        return self._take_commands(given.at_s)

    def unknown_pids(self, events: Sequence[Event]) -> set[int]:
        """Pids that these events speak of and the process table does not hold.

        A tier that sees only execs knows no process that was begun before it, or by fork alone;
        the shell looks these up and tells them before the batch.
        """
        known = self.processes
        wanted = {
            event.ppid if isinstance(event, ProcessStarted) else getattr(event, "pid", 0)
            for event in events
        }
        return {pid for pid in wanted if pid > 0 and pid not in known}

    def _learn(self, processes: Sequence[ProcessStarted]) -> None:
        for process in sorted(processes, key=lambda process: process.start_ticks):
            self.processes.start(process)  # parents began before their children

    def _stop(self, at_s: float) -> None:
        for pending in self._pending.values():
            self._tell(self.incidents.tell(pending.key, pending.finding))
        self._pending.clear()
        self._tell_all(self.incidents.close_all(at_s))

    def _take_commands(self, at_s: float) -> list[Command]:
        if len(self.incidents) > MAX_OPEN:
            self._tell_all(self.incidents.tick(at_s))
        if self._wake_s is None or self._commands:
            next_s = self.incidents.next_s()
            if next_s is not None and next_s != self._wake_s:
                self._wake_s = next_s
                self._commands.append(Wake(next_s))
        commands, self._commands = self._commands, []
        return commands

    def _adopt(self, bundle: Bundle) -> None:
        self.engine = Engine(bundle)
        self._bundle = bundle.digest
        self._redact = Redactor(bundle.redactions)

    def _observed(self, given: Observed) -> None:
        handlers = self._on_event
        for event in given.events:
            handlers[type(event)](event)
        self.ledger.count("core", "all", len(given.events), len(given.events))

    def _process_started(self, event: ProcessStarted) -> None:
        process = self.processes.start(event)
        parent = self.processes.get(event.ppid)
        fields = enrich.process_creation(event, process, parent, self._users)
        self._judge("process_creation", EventClass.PROCESS, event, fields, process)

    def _process_exited(self, event: ProcessExited) -> None:
        self.processes.end(event.pid, event.at_s)

    def _file_changed(self, event: FileChanged) -> None:
        fields = enrich.file_event(event, self.processes, self._users)
        process = self.processes.get(event.pid)
        if process is not None:
            hint = Hint(process.pid, process.image, event.at_s)
            self.hints.note(event.path, hint)
        self._judge("file_event", EventClass.FILE, event, fields, process)

    def _connection_opened(self, event: ConnectionOpened) -> None:
        self._connection(event, self.names.name_of(event))
        for sweep in self.sweeps.observe(event):
            self._sweep(sweep)

    def _connection(self, event: ConnectionOpened, name: str) -> None:
        process = self.processes.get(event.pid)
        fields = enrich.network_connection(event, name, process, self._users)
        self._judge("network_connection", EventClass.NETWORK, event, fields, process)

    def _sweep(self, sweep: Sweep) -> None:
        process = self.processes.get(sweep.pid)
        fields = enrich.network_sweep(sweep, process, self._users)
        self._judge("network_sweep", EventClass.NETWORK, sweep.connection, fields, process)

    def _listener_opened(self, event: ListenerOpened) -> None:
        process = self.processes.get(event.pid)
        fields = enrich.listener_opened(event, process, self._users)
        self._judge("listener_opened", EventClass.NETWORK, event, fields, process)

    def _name_queried(self, event: NameQueried) -> None:
        self._judge("dns_query", EventClass.NETWORK, event, enrich.dns_query(event), None)

    def _name_resolved(self, event: NameResolved) -> None:
        for connection in self.names.learn(event):
            self._connection(connection, event.name)

    def _kernel_activity(self, event: KernelActivity) -> None:
        process = self.processes.get(event.pid)
        fields = enrich.kernel_activity(event, process, self._users)
        self._judge("kernel_activity", EventClass.KERNEL, event, fields, process)

    def _log_line(self, event: LogLine) -> None:
        fields = enrich.log_line(event)
        process = self.processes.get(event.pid)
        self._judge(f"service:{event.service}", EventClass.LOG, event, fields, process)

    def _events_lost(self, event: EventsLost) -> None:
        self.ledger.lose(event)
        if event.event_class is EventClass.FILE and event.stage == "kernel":
            self._commands.append(Rescan(f"{event.tier} lost events: {event.reason}"))
        lost = str(event.lost) if event.lost else "some"
        self._own_finding(
            "events-lost",
            f"Events of class {event.event_class} were lost",
            Severity.MEDIUM if event.stage == "kernel" else Severity.LOW,
            event.event_class,
            event.tier,
            event.at_s,
            {"Class": event.event_class, "Stage": event.stage, "Lost": lost,
             "Reason": event.reason},
        )  # fmt: skip

    def _tier_changed(self, event: TierChanged) -> None:
        body = {
            "class": event.event_class, "tier": event.tier, "previous": event.previous,
            "reason": event.reason,
        }  # fmt: skip
        self._append("tier", Severity.INFORMATIONAL, event.at_s, ocsf.canonical(body))
        if not event.previous:
            return
        self._own_finding(
            "tier-changed",
            f"{event.event_class} is watched by {event.tier or 'nothing'} instead of "
            f"{event.previous}",
            Severity.HIGH if event.tier else Severity.CRITICAL,
            event.event_class,
            event.tier,
            event.at_s,
            {"Class": event.event_class, "Reason": event.reason, "Previous": event.previous},
        )

    def _judge(
        self,
        category: str,
        event_class: EventClass,
        event: Any,
        fields: dict[str, str],
        process: Process | None,
    ) -> None:
        if self.engine is None:
            return
        for rule in self.engine.match(category, fields):
            self._found(rule, event_class, event.tier, event.at_s, fields, process)

    def _found(
        self,
        rule: Rule,
        event_class: EventClass,
        tier: str,
        at_s: float,
        fields: dict[str, str],
        process: Process | None,
    ) -> None:
        tree = process.tree if process else ProcessKey(0, 0)
        subject = _subject(fields)
        wall_s = at_s + self._offset_s
        key = self.incidents.count(Key(rule.rule_id, tree), subject, rule.severity, at_s, wall_s)
        if not key.rule_id:
            return
        finding = Finding(
            rule_id=rule.rule_id,
            title=rule.title,
            author=rule.author,
            severity=rule.severity,
            tags=rule.tags,
            event_class=event_class,
            tier=tier,
            at_s=at_s,
            wall_s=wall_s,
            fields={name: self._redact(value) for name, value in fields.items()},
            chain=self._chain(process),
            losses=self.ledger.losses(event_class, at_s),
            bundle=self._bundle,
        )
        self._ask_or_tell(_Pending(key, finding))

    def _chain(self, process: Process | None) -> tuple[ProcessFacts, ...]:
        if process is None:
            return ()
        return tuple(
            link._replace(command_line=self._redact(link.command_line))
            for link in (facts(p, self._users) for p in self.processes.chain(process.pid))
        )

    def _ask_or_tell(self, pending: _Pending) -> None:
        chain = pending.finding.chain
        if not chain or len(self._pending) >= MAX_PENDING:
            self._tell(self.incidents.tell(pending.key, pending.finding))
            return
        self._ticket += 1
        self._pending[self._ticket] = pending
        subjects = tuple(Subject(p.key.pid, p.key.start_ticks, p.image) for p in chain)
        self._commands.append(Resolve(self._ticket, subjects))

    def _resolved(self, given: Resolved) -> None:
        pending = self._pending.pop(given.ticket, None)
        if pending is None:
            return
        details = {detail.pid: detail for detail in given.details}
        chain = tuple(
            link._replace(
                key=ProcessKey(link.key.pid, detail.start_ticks or link.key.start_ticks),
                unit=detail.unit,
                sha256=detail.sha256,
            )
            if (detail := details.get(link.key.pid)) is not None
            else link
            for link in pending.finding.chain
        )
        self._tell(self.incidents.tell(pending.key, replace(pending.finding, chain=chain)))

    def _reported(self, given: Reported) -> None:
        self._own_finding(
            given.condition, given.title, given.severity, EventClass.AGENT, "agent", given.at_s,
            given.fields,
        )  # fmt: skip

    def _own_finding(
        self,
        condition: str,
        title: str,
        severity: Severity,
        event_class: EventClass,
        tier: str,
        at_s: float,
        fields: Mapping[str, str],
    ) -> None:
        rule = Rule(
            rule_id=f"vedette:{condition}",
            title=title,
            author=OWN_AUTHOR,
            severity=severity,
            tags=(),
            category="agent",
            condition=AllOf(()),
            fields=(),
        )
        self._found(rule, event_class, tier, at_s, dict(fields), None)

    def _tell_all(self, incidents: list[Incident]) -> None:
        for incident in incidents:
            self._tell(incident)

    def _tell(self, incident: Incident | None) -> None:
        if incident is None:
            return
        device, tenant = self._settings.device, self._settings.tenant
        body = ocsf.canonical(ocsf.detection_finding(incident, device, tenant))
        draft = EntryDraft(
            kind="incident",
            severity=incident.severity,
            wall_s=incident.last_seen_wall_s,
            body=body,
            topic="up/finding",
            incident_id=incident.incident_id,
            is_routine=False,
        )
        self._commands.append(Append(draft, incident))

    def _append(self, kind: str, severity: Severity, at_s: float, body: bytes) -> None:
        draft = EntryDraft(kind, severity, at_s + self._offset_s, body, "", "", is_routine=True)
        self._commands.append(Append(draft, None))


_SUBJECT_FIELDS = (
    "Image", "CommandLine", "TargetFilename", "Action", "DestinationIp", "DestinationHostname",
    "Port", "Target", "QueryName", "Class", "Stage", "Reason",
)  # fmt: skip


def _subject(fields: Mapping[str, str]) -> str:
    """What a finding is about: findings with the same subject only add to the count."""
    return "\0".join(fields.get(name, "") for name in _SUBJECT_FIELDS)
