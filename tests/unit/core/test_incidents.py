"""Joining: storms are one incident, news is told at once, every bound holds."""

from __future__ import annotations

from vedette.core.incidents import (
    BEGUN_WINDOW_S,
    BURST,
    MANY_TREES,
    MAX_AGE_S,
    MAX_BEGUN,
    MAX_OPEN,
    MAX_SUBJECTS,
    REFILL_S,
    UPDATE_S,
    Incidents,
    Key,
)
from vedette.model.event import EventClass
from vedette.model.finding import Finding, IncidentStatus, Severity
from vedette.model.process import ProcessKey

TREE = ProcessKey(10, 5)
RULE = Key("rule-1", TREE)


def finding(at_s: float) -> Finding:
    return Finding(
        rule_id="rule-1",
        title="A rule",
        author="someone",
        severity=Severity.HIGH,
        tags=(),
        event_class=EventClass.PROCESS,
        tier="test",
        at_s=at_s,
        wall_s=at_s,
        fields={},
        chain=(),
        losses=(),
        bundle="",
    )


def observe(incidents: Incidents, key: Key, subject: str, at_s: float) -> Key:
    return incidents.count(key, subject, Severity.HIGH, at_s, at_s)


def test_ten_thousand_equal_findings_are_one_incident_with_its_count() -> None:
    incidents = Incidents("d|b", quiet_s=60)
    told = [observe(incidents, RULE, "same", 1.0 + n / 10_000) for n in range(10_000)]
    assert [key for key in told if key.rule_id] == [RULE]
    created = incidents.tell(RULE, finding(1.0))
    assert created is not None
    assert created.status is IncidentStatus.CREATED
    (closed,) = incidents.tick(1.0 + 100)
    assert (closed.status, closed.count) == (IncidentStatus.CLOSED, 10_000)
    assert incidents.next_s() is None


def test_a_new_subject_is_told_at_once_up_to_a_bound() -> None:
    incidents = Incidents("d|b", quiet_s=60)
    told = [observe(incidents, RULE, f"subject {n}", n * REFILL_S) for n in range(100)]
    assert len([key for key in told if key.rule_id]) == MAX_SUBJECTS


def test_many_new_subjects_at_once_are_told_as_fast_as_people_read() -> None:
    incidents = Incidents("d|b", quiet_s=60)
    told = [observe(incidents, RULE, f"subject {n}", 1.0 + n / 1000) for n in range(1000)]
    assert len([key for key in told if key.rule_id]) == BURST
    later = observe(incidents, RULE, "one more", 3.0 + REFILL_S)
    assert later == RULE


def test_what_repeats_is_told_every_update_period() -> None:
    incidents = Incidents("d|b", quiet_s=600)
    observe(incidents, RULE, "same", 1.0)
    incidents.tell(RULE, finding(1.0))
    observe(incidents, RULE, "same", 2.0)
    assert incidents.tick(3.0) == []
    assert incidents.next_s() == 1.0 + UPDATE_S
    (update,) = incidents.tick(1.0 + UPDATE_S)
    assert (update.status, update.count, update.revision) == (IncidentStatus.UPDATED, 2, 2)
    assert incidents.tick(2.0 + UPDATE_S) == []


def test_an_incident_that_never_rests_is_closed_at_its_greatest_age() -> None:
    incidents = Incidents("d|b", quiet_s=60)
    observe(incidents, RULE, "same", 0.0)
    incidents.tell(RULE, finding(0.0))
    observe(incidents, RULE, "same", MAX_AGE_S - 1)
    (report,) = incidents.tick(MAX_AGE_S)
    assert report.status is IncidentStatus.CLOSED


def test_after_a_tick_at_its_time_the_next_one_is_later() -> None:
    """427.58... + 120 - 427.58... may be less than 120: two roundings would wake for ever."""
    for number in range(2000):
        incidents = Incidents("d|b", quiet_s=120)
        at_s = 427.0 + number / 7
        observe(incidents, RULE, "s", at_s)
        incidents.tell(RULE, finding(at_s))
        wake_s = incidents.next_s()
        assert wake_s is not None
        assert [report.status for report in incidents.tick(wake_s)] == [IncidentStatus.CLOSED]


def test_many_trees_of_one_rule_become_one_incident() -> None:
    incidents = Incidents("d|b", quiet_s=60)
    keys = {
        observe(incidents, Key("rule-1", ProcessKey(pid, 0)), "s", 1.0)
        for pid in range(100, 100 + 10 * MAX_BEGUN)
    }
    begun = {key for key in keys if key.rule_id}
    assert len(begun) == MAX_BEGUN + 1
    assert Key("rule-1", MANY_TREES) in begun
    later = observe(incidents, Key("rule-1", ProcessKey(5, 0)), "s", 2.0 + BEGUN_WINDOW_S)
    assert later.tree == ProcessKey(5, 0)


def test_more_than_the_bound_closes_the_quietest() -> None:
    incidents = Incidents("d|b", quiet_s=6000)
    for n in range(MAX_OPEN + 5):
        key = Key(f"rule-{n}", TREE)
        observe(incidents, key, "s", float(n))
        incidents.tell(key, finding(float(n)))
    closed = incidents.tick(float(MAX_OPEN + 5))
    assert len(closed) == 5
    assert {report.first_seen_wall_s for report in closed} == {0.0, 1.0, 2.0, 3.0, 4.0}


def test_ids_depend_on_inputs_only() -> None:
    ids = []
    for _ in range(2):
        incidents = Incidents("d|b", quiet_s=60)
        observe(incidents, RULE, "s", 1.0)
        created = incidents.tell(RULE, finding(1.0))
        assert created is not None
        ids.append(created.incident_id)
    assert ids[0] == ids[1]
    other = Incidents("d2|b", quiet_s=60)
    observe(other, RULE, "s", 1.0)
    created = other.tell(RULE, finding(1.0))
    assert created is not None
    assert created.incident_id != ids[0]


def test_a_finding_that_waits_while_its_incident_closes_is_not_told_twice() -> None:
    incidents = Incidents("d|b", quiet_s=60)
    observe(incidents, RULE, "s", 1.0)
    assert incidents.tick(100.0) == []
    assert incidents.tell(RULE, finding(1.0)) is None


def test_an_incident_is_as_severe_as_the_worst_of_its_findings() -> None:
    incidents = Incidents("d|b", quiet_s=60)
    told = []
    for severity in (Severity.HIGH, Severity.CRITICAL, Severity.LOW):
        incidents.count(RULE, severity.name, severity, 1.0, 1.0)
        told.append(incidents.tell(RULE, finding(1.0)))
    assert [report and report.severity for report in told] == [
        Severity.HIGH, Severity.CRITICAL, Severity.CRITICAL,
    ]  # fmt: skip
