"""From a match to what people read: counts it, asks for details once, tells the incident.

Rule 1: details that cost I/O (digest, unit, start time) are asked for only when an incident begins
or shows something new; a storm of equal findings costs one question.
Rule 2: secrets are taken out here, before anything leaves the core.
Rule 3: what waits for an answer is bounded; above MAX_PENDING it is told without.
Rule 4: a pid that was used again before its event never lends its former owner to a chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

from vedette.codec import ocsf
from vedette.core.commands import Append, Command, Resolve, Subject
from vedette.core.incidents import MAX_OPEN, Incidents, Key
from vedette.core.inputs import ProcessDetail, Resolved
from vedette.core.ledger import Ledger
from vedette.core.process_table import Process, ProcessTable, facts
from vedette.core.redact import Redactor
from vedette.model.event import EventClass
from vedette.model.finding import Finding, Incident, Severity
from vedette.model.journal import EntryDraft
from vedette.model.process import ProcessFacts, ProcessKey
from vedette.model.response import Mode
from vedette.model.rule import Correlation, Rule

OWN_AUTHOR = "Vedette"
MAX_PENDING = 64
MAX_BODY_BYTES = 64 << 10
"""Half of what the journal takes as one entry: a longer one it would only sum up."""
TEXT_LIMITS = (4096, 1024, 256, 64)
"""Characters shown of each text; the last one always fits, whatever is escaped how."""
MAX_SUBJECT = 256
NEVER_SHOWN = frozenset({"Arguments"})
"""CommandLine shows them, joined by the blanks that the patterns of secrets count on."""
NO_TREE = ProcessKey(0, 0)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Who decides, and with what patience.

    Attributes:
        device: as the fleet knows it.
        boot: the kernel's boot id, 32 hex digits.
        quiet_s: an incident without findings for so long is closed.
        device_class: which exclusions hold here, "" for those of all devices.
        response_profile: the profile of responses its owner chose, "" for that of its class.
        response_mode: OBSERVE keeps every response from being carried out.
    """

    tenant: str
    device: str
    boot: str
    quiet_s: float = 120.0
    device_class: str = ""
    response_profile: str = ""
    response_mode: Mode = Mode.ENFORCE


class Sighting(NamedTuple):
    """What a rule, or the agent itself, has found: where it comes from and what it shows.

    `subject` is what it is about, where its fields do not say.
    """

    event_class: EventClass
    tier: str
    at_s: float
    fields: Mapping[str, str]
    process: Process | None
    subject: str = ""


class Claim(NamedTuple):
    """Who says so: a rule of the bundle or the agent itself."""

    rule_id: str
    title: str
    author: str
    severity: Severity
    tags: tuple[str, ...]


Answer = Callable[[Claim, Sighting, Callable[[], str]], None]
"""Told of every match, with what gives the id of its incident."""


class _Pending(NamedTuple):
    key: Key
    finding: Finding


class Findings:
    """Makes findings, joins them, and appends commands.

    Args:
        commands: where commands go, in order.

    Attributes:
        bundle: digest of the rules in use.
        redact: takes secrets out; comes with the rules.
        users: login names by uid.
        offset_s: wall time minus CLOCK_BOOTTIME, as of the newest input.
        answer: what is done about a match (core/defence.py), whether or not it is told.
    """

    def __init__(
        self,
        settings: AgentSettings,
        processes: ProcessTable,
        ledger: Ledger,
        commands: list[Command],
    ) -> None:
        self._settings = settings
        self._processes = processes
        self._ledger = ledger
        self._commands = commands
        self.incidents = Incidents(f"{settings.device}|{settings.boot}", settings.quiet_s)
        self.bundle = ""
        self.redact = Redactor(())
        self.users: dict[int, str] = {}
        self.offset_s = 0.0
        self.answer: Answer = lambda _claim, _seen, _incident: None
        self._pending: dict[int, _Pending] = {}
        self._ticket = 0

    def of_rule(self, rule: Rule | Correlation, seen: Sighting) -> bool:
        """A rule matched; whether that is told, or only counted as more of the same."""
        return self._found(_claim(rule), seen)

    def unheard(self, rule: Rule | Correlation, seen: Sighting) -> None:
        """A rule matched that tells nothing for a while; what answers it is done all the same."""
        self._answered(_claim(rule), seen)

    def of_ours(
        self,
        condition: str,
        title: str,
        severity: Severity,
        seen: Sighting,
        tags: tuple[str, ...] = (),
    ) -> None:
        """The agent itself has something to tell; `condition` names it for ever."""
        self._found(Claim(f"vedette:{condition}", title, OWN_AUTHOR, severity, tags), seen)

    def resolved(self, given: Resolved) -> None:
        """The answer to a question of ours; one that is not awaited is ignored."""
        pending = self._pending.pop(given.ticket, None)
        if pending is None:
            return
        pending = _without_others(pending, given.details)
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

    def acted(self, incident_id: str, words: str, at_s: float) -> None:
        """Something was done about an incident; it is told at once where its budget allows."""
        self._tell(self.incidents.acted(incident_id, self.redact(words), at_s))

    def tick(self, at_s: float) -> None:
        """Tell what is due."""
        self._tell_all(self.incidents.tick(at_s))

    def trim(self, at_s: float) -> None:
        """Close the quietest incidents above the bound."""
        if len(self.incidents) > MAX_OPEN:
            self.tick(at_s)

    def stop(self, at_s: float) -> None:
        """Tell what waits for an answer and close all incidents."""
        for pending in self._pending.values():
            self._tell(self.incidents.tell(pending.key, pending.finding))
        self._pending.clear()
        self._tell_all(self.incidents.close_all(at_s))

    def _found(self, claim: Claim, seen: Sighting) -> bool:
        process, at_s = seen.process, seen.at_s
        wall_s = at_s + self.offset_s
        subject = seen.subject or _subject(seen.fields)
        key = self.incidents.count(_key(claim, seen), subject, claim.severity, at_s, wall_s)
        self._answered(claim, seen)
        if not key.rule_id:
            return False
        chain = list(self._processes.chain(process.pid)) if process else []
        finding = Finding(
            rule_id=claim.rule_id,
            title=claim.title,
            author=claim.author,
            severity=claim.severity,
            tags=claim.tags,
            event_class=seen.event_class,
            tier=seen.tier,
            at_s=at_s,
            wall_s=wall_s,
            fields=self._shown(seen.fields),
            chain=tuple(map(self._facts, chain)),
            losses=self._ledger.losses(seen.event_class, at_s),
            bundle=self.bundle,
        )
        self._ask_or_tell(_Pending(key, finding), chain)
        return True

    def _answered(self, claim: Claim, seen: Sighting) -> None:
        self.answer(claim, seen, lambda: self.incidents.id_of(_key(claim, seen)))

    def _shown(self, fields: Mapping[str, str]) -> dict[str, str]:
        return {
            name: self.redact(value) for name, value in fields.items() if name not in NEVER_SHOWN
        }

    def _facts(self, process: Process) -> ProcessFacts:
        link = facts(process, self.users)
        return link._replace(command_line=self.redact(link.command_line))

    def _ask_or_tell(self, pending: _Pending, chain: Sequence[Process]) -> None:
        if not chain or len(self._pending) >= MAX_PENDING:
            self._tell(self.incidents.tell(pending.key, pending.finding))
            return
        self._ticket += 1
        self._pending[self._ticket] = pending
        at_s = pending.finding.at_s
        subjects = tuple(Subject(p.pid, p.start_ticks, p.image, p.seen_at_s, at_s) for p in chain)
        self._commands.append(Resolve(self._ticket, subjects))

    def _tell_all(self, incidents: Iterable[Incident]) -> None:
        for incident in incidents:
            self._tell(incident)

    def _tell(self, incident: Incident | None) -> None:
        if incident is None:
            return
        incident, body = _fitting(incident, self._settings)
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


def _claim(rule: Rule | Correlation) -> Claim:
    return Claim(rule.rule_id, rule.title, rule.author, rule.severity, rule.tags)


def _key(claim: Claim, seen: Sighting) -> Key:
    return Key(claim.rule_id, seen.process.tree if seen.process else NO_TREE)


def _fitting(incident: Incident, settings: AgentSettings) -> tuple[Incident, bytes]:
    """An incident with its texts cut until the journal takes its document whole."""
    shown, body = incident, b""
    for most in TEXT_LIMITS:
        shown = replace(incident, finding=_cut_finding(incident.finding, most))
        document = ocsf.detection_finding(shown, settings.device, settings.tenant)
        body = ocsf.canonical(document)
        if len(body) <= MAX_BODY_BYTES:
            break
    return shown, body


def _cut_finding(finding: Finding, most: int) -> Finding:
    return replace(
        finding,
        fields={name: _cut(value, most) for name, value in finding.fields.items()},
        chain=tuple(
            link._replace(
                image=_cut(link.image, most),
                argv0=_cut(link.argv0, most),
                command_line=_cut(link.command_line, most),
            )
            for link in finding.chain
        ),
    )


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}… [{len(text) - 2 * half} left out] …{text[-half:]}"


_PARENT_FIELDS = frozenset({"ParentImage", "ParentImageAlias", "ParentCommandLine"})
_OWN_FIELDS = frozenset({"Image", "ImageAlias", "CommandLine", "Argv0", "User", "CurrentDirectory"})


def _without_others(pending: _Pending, details: Sequence[ProcessDetail]) -> _Pending:
    """Take out who only had a pid before the one that is meant: unknown is better than wrong."""
    finding = pending.finding
    others = {detail.pid for detail in details if detail.is_other}
    pids = [link.key.pid for link in finding.chain]
    first = next((number for number, pid in enumerate(pids) if pid in others), None)
    if first is None:
        return pending
    wrong = {"Ancestors"}
    wrong |= _PARENT_FIELDS if first <= 1 else set()
    wrong |= _OWN_FIELDS if first == 0 else set()
    fields = {name: value for name, value in finding.fields.items() if name not in wrong}
    return pending._replace(finding=replace(finding, fields=fields, chain=finding.chain[:first]))


_SUBJECT_FIELDS = (
    "Image", "CommandLine", "TargetFilename", "Action", "DestinationIp", "DestinationHostname",
    "Port", "Target", "QueryName", "Class", "Stage", "Reason",
)  # fmt: skip


def _subject(fields: Mapping[str, str]) -> str:
    """What a finding is about: findings with the same subject only add to the count."""
    subject = "\0".join(fields.get(name, "") for name in _SUBJECT_FIELDS)
    if len(subject) <= MAX_SUBJECT:
        return subject
    # Open incidents keep thousands of them: what an attacker made long is kept as its digest.
    return sha256(subject.encode("utf-8", "surrogateescape")).hexdigest()
