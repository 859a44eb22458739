"""Joins findings into incidents: same rule, same process tree, close in time.

Rule 1: an incident is told at once when it begins and when it shows something new (another
subject), up to MAX_SUBJECTS and no faster than its token bucket allows; all else is counted and
told after UPDATE_S, then after pauses that double up to LONGEST_UPDATE_S: a count that only grows
is worth less each time, on the wire and to a reader.
Rule 2: it is closed after `quiet_s` without a finding, or after MAX_AGE_S, whichever comes first.
Rule 3: bounded: one rule may begin MAX_BEGUN incidents within BEGUN_WINDOW_S, further trees are
joined into one incident of that rule; above MAX_OPEN the quietest is closed.
Rule 4: ids depend on inputs only, so that a replay gives the same ones.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from vedette.model.finding import Finding, Incident, IncidentStatus, Severity
from vedette.model.process import ProcessKey

UPDATE_S = 30.0
LONGEST_UPDATE_S = 600.0
MAX_AGE_S = 3600.0
MAX_SUBJECTS = 16
BURST = 8
REFILL_S = 1.0
"""A person who follows an attack wants its steps, not a line for each of a worm's processes."""
MAX_OPEN = 256
MAX_BEGUN = 32
BEGUN_WINDOW_S = 60.0
MAX_ACTIONS = 32
AND_MORE = "and more: see the journal's entries of this incident"
MANY_TREES = ProcessKey(0, 0)


class Key(NamedTuple):
    """What makes findings one incident while it is open."""

    rule_id: str
    tree: ProcessKey


class _Open:
    __slots__ = (
        "actions",
        "began_s",
        "count",
        "filled_s",
        "finding",
        "first_wall_s",
        "incident_id",
        "is_told",
        "last_s",
        "last_wall_s",
        "pause_s",
        "revision",
        "severity",
        "subjects",
        "tokens",
        "told_actions",
        "told_count",
        "told_s",
    )  # fmt: skip

    def __init__(self, incident_id: str, severity: Severity, at_s: float, wall_s: float) -> None:
        self.incident_id = incident_id
        self.severity = severity
        self.began_s = self.last_s = self.told_s = at_s
        self.first_wall_s = self.last_wall_s = wall_s
        self.count = 0
        self.told_count = 0
        self.told_actions = 0
        self.pause_s = UPDATE_S
        self.revision = 0
        self.subjects: set[str] = set()
        self.actions: list[str] = []
        self.finding: Finding | None = None
        self.is_told = False
        self.tokens = float(BURST)
        self.filled_s = at_s

    def shows(self, subject: str, at_s: float) -> bool:
        """Whether this subject is new and may be told at once; takes a token for it."""
        if subject in self.subjects or len(self.subjects) >= MAX_SUBJECTS:
            return False
        if not self.take_token(at_s):
            return False
        self.subjects.add(subject)
        return True

    def take_token(self, at_s: float) -> bool:
        """Whether something may be told at once."""
        self.tokens = min(BURST, self.tokens + max(0.0, at_s - self.filled_s) / REFILL_S)
        self.filled_s = at_s
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    @property
    def has_news(self) -> bool:
        """Whether there is something that no report has told yet."""
        return self.count > self.told_count or len(self.actions) > self.told_actions


class Incidents:
    """The open incidents.

    Args:
        identity: device and boot; makes the ids of two devices differ.
        quiet_s: seconds without a finding after which an incident is closed.
    """

    def __init__(self, identity: str, quiet_s: float) -> None:
        self._identity = identity
        self._quiet_s = quiet_s
        self._open: dict[Key, _Open] = {}
        self._begun: dict[str, deque[float]] = {}
        self._number = 0
        self.coalesced_trees = 0

    def __len__(self) -> int:
        return len(self._open)

    def count(self, key: Key, subject: str, severity: Severity, at_s: float, wall_s: float) -> Key:
        """Count a finding; returns its key, or one with rule_id "" when there is nothing to tell.

        `subject` is what the finding is about (program, file, peer); one that the open incident
        has shown before is only counted.
        """
        incident = self._open.get(key)
        if incident is None:
            key = self._budgeted(key, at_s)
            incident = self._open.get(key)
        if incident is None:
            incident = self._begin(key, severity, at_s, wall_s)
        incident.count += 1
        incident.severity = max(incident.severity, severity)
        incident.last_s = at_s
        incident.last_wall_s = wall_s
        return key if incident.shows(subject, at_s) else Key("", key.tree)

    def tell(self, key: Key, finding: Finding) -> Incident | None:
        """The report that a counted finding calls for; None when it was closed meanwhile."""
        incident = self._open.get(key)
        if incident is None:
            return None
        incident.finding = finding
        status = IncidentStatus.UPDATED if incident.is_told else IncidentStatus.CREATED
        incident.is_told = True
        return self._report(incident, status, finding.at_s)

    def id_of(self, key: Key) -> str:
        """The id of the open incident that findings of this key are joined to, "" for none."""
        incident = self._open.get(key) or self._open.get(Key(key.rule_id, MANY_TREES))
        return incident.incident_id if incident is not None else ""

    def acted(self, incident_id: str, words: str, at_s: float) -> Incident | None:
        """Add what was done; the report it calls for, None where it goes with a later one."""
        found = (one for one in self._open.values() if one.incident_id == incident_id)
        incident = next(found, None)
        if incident is None or len(incident.actions) > MAX_ACTIONS:
            return None
        is_last = len(incident.actions) == MAX_ACTIONS
        incident.actions.append(AND_MORE if is_last else words)
        if not incident.is_told or not incident.take_token(at_s):
            return None
        return self._report(incident, IncidentStatus.UPDATED, at_s)

    def tick(self, at_s: float) -> list[Incident]:
        """Updates that are due, and incidents that have ended."""
        reports: list[Incident] = []
        for key, incident in list(self._open.items()):
            if self._has_ended(incident, at_s):
                reports.extend(self._close(key, at_s))
            elif incident.has_news and at_s >= incident.told_s + incident.pause_s:
                reports.extend(self._update(incident, at_s))
        while len(self._open) > MAX_OPEN:
            quietest = min(self._open, key=lambda key: self._open[key].last_s)
            reports.extend(self._close(quietest, at_s))
        return reports

    def close_all(self, at_s: float) -> list[Incident]:
        """Close what is open, as at the end of the agent."""
        return [report for key in list(self._open) for report in self._close(key, at_s)]

    def next_s(self) -> float | None:
        """When `tick` has something to do next, or None."""
        if not self._open:
            return None
        return min(self._due_s(incident) for incident in self._open.values())

    def _begin(self, key: Key, severity: Severity, at_s: float, wall_s: float) -> _Open:
        self._number += 1
        text = f"{self._identity}|{self._number}|{key.rule_id}|{key.tree.pid}|{at_s:.6f}"
        incident_id = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._open[key] = incident = _Open(incident_id, severity, at_s, wall_s)
        return incident

    def _budgeted(self, key: Key, at_s: float) -> Key:
        begun = self._begun.setdefault(key.rule_id, deque(maxlen=MAX_BEGUN))
        if len(begun) == MAX_BEGUN and at_s - begun[0] < BEGUN_WINDOW_S:
            self.coalesced_trees += 1
            return Key(key.rule_id, MANY_TREES)
        begun.append(at_s)
        return key

    def _due_s(self, incident: _Open) -> float:
        end_s = min(incident.last_s + self._quiet_s, incident.began_s + MAX_AGE_S)
        if incident.has_news:
            return min(end_s, incident.told_s + incident.pause_s)
        return end_s

    def _has_ended(self, incident: _Open, at_s: float) -> bool:
        """Adds as `_due_s` does: a difference is rounded otherwise, and asks to be woken now."""
        return at_s >= min(incident.last_s + self._quiet_s, incident.began_s + MAX_AGE_S)

    def _update(self, incident: _Open, at_s: float) -> Iterable[Incident]:
        if incident.finding is not None:
            incident.pause_s = min(2 * incident.pause_s, LONGEST_UPDATE_S)
            yield self._report(incident, IncidentStatus.UPDATED, at_s)

    def _close(self, key: Key, at_s: float) -> Iterable[Incident]:
        incident = self._open.pop(key)
        if incident.finding is not None:
            yield self._report(incident, IncidentStatus.CLOSED, at_s)

    def _report(self, incident: _Open, status: IncidentStatus, at_s: float) -> Incident:
        if incident.finding is None:
            raise RuntimeError(f"incident {incident.incident_id} is told before its finding")
        incident.revision += 1
        incident.told_count = incident.count
        incident.told_actions = len(incident.actions)
        incident.told_s = at_s
        return Incident(
            incident_id=incident.incident_id,
            status=status,
            revision=incident.revision,
            severity=incident.severity,
            finding=incident.finding,
            count=incident.count,
            first_seen_wall_s=incident.first_wall_s,
            last_seen_wall_s=incident.last_wall_s,
            actions=tuple(incident.actions),
        )
