"""Findings and incidents: what the rules say about events, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from vedette.model.event import EventClass
from vedette.model.process import ProcessFacts


class Severity(IntEnum):
    """OCSF 1.8 severity_id; Sigma's levels map to the same words."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


@dataclass(frozen=True, slots=True)
class Loss:
    """Events of a class known to be missing in a finding's window; 0 means "some"."""

    event_class: EventClass
    stage: str
    count: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule matched once.

    Attributes:
        rule_id: the Sigma rule's id (a UUID), or "vedette:<name>" for what the agent finds itself.
        author: the rule's author, kept as DRL 1.1 asks.
        tags: Sigma tags, such as "attack.t1059.004".
        tier: the source that saw the event.
        at_s: CLOCK_BOOTTIME seconds of the event.
        wall_s: the same moment as Unix time, as far as the clock can be trusted.
        fields: the event's fields that the rule looked at or a person needs, redacted.
        chain: the process and its ancestors, nearest first.
        losses: what is known to be missing in the window of this finding.
        bundle: digest (hex) of the bundle that holds the rule.
    """

    rule_id: str
    title: str
    author: str
    severity: Severity
    tags: tuple[str, ...]
    event_class: EventClass
    tier: str
    at_s: float
    wall_s: float
    fields: Mapping[str, str]
    chain: tuple[ProcessFacts, ...]
    losses: tuple[Loss, ...]
    bundle: str


class IncidentStatus(StrEnum):
    """Where an incident stands."""

    CREATED = "created"
    UPDATED = "updated"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Incident:
    """Findings joined over rule, process tree and time.

    Attributes:
        incident_id: unique on this device for ever (16 hex digits of a digest).
        revision: 1 at creation, one more with each report.
        finding: the finding that this revision tells: the first one at creation, later the newest
            that showed something new.
        count: how many findings are joined, those of this revision included.
        actions: what was done, in words; empty means nothing was.
    """

    incident_id: str
    status: IncidentStatus
    revision: int
    severity: Severity
    finding: Finding
    count: int
    first_seen_wall_s: float
    last_seen_wall_s: float
    actions: tuple[str, ...]
