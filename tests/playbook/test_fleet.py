"""What an operator is told of honest devices, and of a broker that lies."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from vedette.codec import chain_link, cloudevents, ocsf, report
from vedette.codec.envelope import Purpose, signed_bytes
from vedette.codec.registry import Registered
from vedette.core import updates
from vedette.core.fleet import REMEMBERED_INCIDENTS, SILENT_S, Fleet, Kind, Note, Publication
from vedette.model.finding import Severity
from vedette.model.release import ReleaseKind
from vedette.model.update import Cause, Step, UpdateReport
from vedette.store.cell import FileCell
from vedette.trust.ed25519 import Ed25519Signer, Ed25519Verifier
from vedette.trust.evolving_key import FILE, EvolvingKey

BOOT = "0123456789abcdef0123456789abcdef"
KEY, FOREIGN = Ed25519Signer(bytes(32)), Ed25519Signer(bytes(31) + b"\x01")
CAM = Registered("acme", "cam-7", KEY.public_key, "gate")
INCIDENT = {
    "class_uid": 2004,
    "activity_id": 1,
    "severity_id": 4,
    "finding_info": {"uid": "feed", "title": "A shell"},
}


def publication(
    sequence: int,
    *,
    suffix: str = "up/finding",
    purpose: Purpose = Purpose.INCIDENT,
    body: bytes | None = None,
    key: Ed25519Signer = KEY,
    device: str = "cam-7",
    is_retained: bool = False,
) -> Publication:
    content = body if body is not None else ocsf.canonical(INCIDENT)
    attributes = cloudevents.attributes(
        purpose, "acme", device, BOOT, sequence, 1_795_264_807.0, "", content
    )
    signature = key.sign(
        signed_bytes(
            purpose, "acme", device, BOOT, sequence, suffix, report.JSON, attributes, content
        )
    )
    return Publication(
        f"fleet/v1/acme/cam-7/{suffix}",
        report.JSON,
        (*attributes, ("vsig", b64encode(signature).decode())),
        content,
        is_retained,
    )


def state(counter: int, *, is_retained: bool = False) -> Publication:
    return publication(
        0,
        suffix="state",
        purpose=Purpose.STATE,
        body=b'{"counter":%d}' % counter,
        is_retained=is_retained,
    )


def fleet() -> Fleet:
    return Fleet({("acme", "cam-7"): CAM}, Ed25519Verifier(), 0.0)


def kinds(notes: list[Note]) -> list[Kind]:
    return [note.kind for note in notes]


def test_an_incident_with_a_good_signature_is_shown() -> None:
    (note,) = fleet().handle(publication(1), 1.0)
    assert note.incident is not None
    assert (note.kind, note.incident.title, note.sequence) == (Kind.INCIDENT, "A shell", 1)


FORGERIES = {
    "another key signed it": publication(1, key=FOREIGN),
    "it was signed as another device": publication(1, device="cam-8"),
    "its body was changed": publication(1)._replace(body=ocsf.canonical({**INCIDENT, "x": 1})),
    "it was moved to another topic": publication(1)._replace(topic="fleet/v1/acme/cam-7/up/model"),
    "its content type was changed": publication(1)._replace(content_type=report.MSGPACK),
    "a heartbeat is passed for an incident": state(1)._replace(
        topic="fleet/v1/acme/cam-7/up/finding"
    ),
    "its sequence was changed": publication(1)._replace(
        properties=tuple(
            (name, value.replace("/1", "/2") if name == "id" else value)
            for name, value in publication(1).properties
        )
    ),
    "its time was changed": publication(1)._replace(
        properties=tuple(
            (name, "2020-01-01T00:00:00.000Z" if name == "time" else value)
            for name, value in publication(1).properties
        )
    ),
}


@pytest.mark.parametrize("forged", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forgery_is_named_and_believed_in_nothing(forged: Publication) -> None:
    watched = fleet()
    notes = watched.handle(forged, SILENT_S - 1)
    assert kinds(notes) == [Kind.BAD_SIGNATURE]
    assert notes[0].incident is None
    assert kinds(watched.tick(SILENT_S)) == [Kind.SILENT], "a forgery proves no life"
    assert kinds(watched.handle(publication(1), SILENT_S)) == [Kind.HEARD_AGAIN, Kind.INCIDENT]


def test_a_device_outside_the_registry_says_nothing() -> None:
    stranger = publication(1)._replace(topic="fleet/v1/acme/cam-9/up/finding")
    assert kinds(fleet().handle(stranger, 1.0)) == [Kind.UNKNOWN_DEVICE]


def test_without_a_signature_it_is_unreadable() -> None:
    bare = publication(1)._replace(properties=publication(1).properties[:-1])
    assert kinds(fleet().handle(bare, 1.0)) == [Kind.UNREADABLE]


def test_a_gap_is_counted_and_what_comes_late_fills_it() -> None:
    watched = fleet()
    watched.handle(publication(5), 1.0)
    notes = watched.handle(publication(9), 2.0)
    assert kinds(notes) == [Kind.GAP, Kind.INCIDENT]
    assert notes[0].detail == "3 missing: 6 to 8"
    assert kinds(watched.handle(publication(7), 3.0)) == [Kind.LATE, Kind.INCIDENT]
    assert kinds(watched.handle(publication(7), 4.0)) == [Kind.DOUBLE]


def test_a_double_is_told_and_not_shown_as_an_incident() -> None:
    watched = fleet()
    watched.handle(publication(1), 1.0)
    assert kinds(watched.handle(publication(1), 2.0)) == [Kind.DOUBLE]


def test_a_gap_of_millions_takes_no_memory_for_each() -> None:
    watched = fleet()
    watched.handle(publication(1), 1.0)
    assert kinds(watched.handle(publication(2**62), 2.0)) == [Kind.GAP, Kind.INCIDENT]
    assert len(watched._known["acme", "cam-7"].missing) <= 1024


def test_silence_is_told_once_and_ends_with_a_new_counter_only() -> None:
    watched = fleet()
    assert kinds(watched.handle(state(1), 1.0)) == [Kind.STATE]
    assert kinds(watched.tick(1.0 + SILENT_S)) == [Kind.SILENT]
    assert watched.tick(2.0 + SILENT_S) == []
    assert kinds(watched.handle(state(1), 3.0 + SILENT_S)) == [Kind.REPLAYED]
    assert kinds(watched.handle(state(2), 4.0 + SILENT_S)) == [Kind.HEARD_AGAIN, Kind.STATE]


def test_a_retained_state_is_a_hint_and_no_sign_of_life() -> None:
    watched = fleet()
    assert kinds(watched.handle(state(5, is_retained=True), SILENT_S - 1)) == [Kind.STATE]
    assert kinds(watched.tick(SILENT_S)) == [Kind.SILENT]


def heartbeat(uptime_s: int, counter: int, newest: int) -> Publication:
    body = b'{"counter":%d,"newest_sequence":%d,"uptime_s":%d}' % (counter, newest, uptime_s)
    return publication(0, suffix="state", purpose=Purpose.STATE, body=body)


def test_a_restarted_sentinel_counts_anew_and_is_no_replay() -> None:
    watched = fleet()
    assert kinds(watched.handle(heartbeat(900, 9, 40), 1.0)) == [Kind.STATE]
    assert kinds(watched.handle(heartbeat(950, 1, 42), 2.0)) == [Kind.RESTARTED, Kind.STATE]
    assert kinds(watched.handle(heartbeat(900, 9, 40), 3.0)) == [Kind.REPLAYED]


def test_a_state_whose_outbox_went_back_is_a_replay() -> None:
    watched = fleet()
    watched.handle(heartbeat(900, 9, 40), 1.0)
    assert kinds(watched.handle(heartbeat(1800, 10, 39), 2.0)) == [Kind.REPLAYED]


def told(sequence: int, activity: int, count: int) -> Publication:
    body = ocsf.canonical({**INCIDENT, "activity_id": activity, "count": count})
    return publication(sequence, body=body)


def test_an_end_that_says_nothing_new_is_no_second_incident() -> None:
    watched = fleet()
    assert kinds(watched.handle(told(1, 1, 1), 1.0)) == [Kind.INCIDENT]
    assert kinds(watched.handle(told(2, 2, 5), 2.0)) == [Kind.INCIDENT]
    assert kinds(watched.handle(told(3, 3, 5), 3.0)) == [Kind.ENDED]


@pytest.mark.parametrize("before", [0, 4])
def test_an_end_that_counts_more_or_is_the_first_word_of_it_is_shown(before: int) -> None:
    watched = fleet()
    if before:
        watched.handle(told(1, 2, before), 1.0)
    assert kinds(watched.handle(told(2, 3, 5), 2.0)) == [Kind.INCIDENT]


def test_what_is_remembered_of_incidents_is_bounded() -> None:
    watched = fleet()
    for number in range(1, 600):
        body = {**INCIDENT, "count": 1, "finding_info": {"uid": f"{number:x}", "title": "A"}}
        watched.handle(publication(number, body=ocsf.canonical(body)), 1.0)
    assert len(watched._known["acme", "cam-7"].counts) == REMEMBERED_INCIDENTS


def test_a_birth_is_a_hint_since_it_is_the_same_at_each_connect() -> None:
    birth = publication(0, suffix="birth", purpose=Purpose.BIRTH, body=b'{"boot":"x"}')
    watched = fleet()
    for at_s in (SILENT_S - 2, SILENT_S - 1):
        assert kinds(watched.handle(birth, at_s)) == [Kind.BIRTH]
    assert kinds(watched.tick(SILENT_S)) == [Kind.SILENT]


def test_a_will_is_a_hint_and_no_proof_of_death() -> None:
    will = publication(0, suffix="state", purpose=Purpose.WILL, body=b'{"counter":1}')
    watched = fleet()
    assert kinds(watched.handle(will, 1.0)) == [Kind.WILL]
    assert watched.tick(2.0) == []


def test_a_signed_body_that_is_no_finding_is_unreadable() -> None:
    assert kinds(fleet().handle(publication(1, body=b"[]"), 1.0)) == [Kind.UNREADABLE]


def test_heartbeats_that_were_made_and_did_not_arrive_are_told() -> None:
    watched = fleet()
    assert kinds(watched.handle(heartbeat(900, 1, 0), 1.0)) == [Kind.STATE]
    assert kinds(watched.handle(heartbeat(1800, 2, 0), 2.0)) == [Kind.STATE]
    missed, _ = watched.handle(heartbeat(5400, 6, 0), 3.0)
    assert (missed.kind, missed.detail) == (Kind.MISSED, "3 heartbeats missing: 3 to 5")
    assert kinds(watched.handle(heartbeat(6300, 7, 0), 4.0)) == [Kind.STATE]


def test_an_agent_that_began_anew_while_its_device_did_not_is_told() -> None:
    watched = fleet()
    watched.handle(heartbeat(6300, 7, 0), 1.0)
    restarted, _ = watched.handle(heartbeat(6400, 1, 0), 2.0)
    assert restarted.kind is Kind.RESTARTED
    assert "within the last 100 s" in restarted.detail


def test_checkpoints_are_followed_and_a_broken_chain_is_told(tmp_path: Path) -> None:
    key, watched = EvolvingKey(FileCell(tmp_path / FILE), 0), fleet()

    def link(sequence: int, size: int) -> Publication:
        data = key.sign_link("vedette/acme/cam-7/1", size, bytes(32), "", "cam-7", KEY)
        body = chain_link.encode_body(data, ())
        return publication(sequence, suffix="up/evidence", purpose=Purpose.CHECKPOINT, body=body)

    assert kinds(watched.handle(link(1, 5), 1.0)) == [Kind.CHECKPOINT]
    key.evolve()
    (broken,) = watched.handle(link(2, 3), 2.0)
    assert (broken.kind, broken.sequence) == (Kind.CHAIN, 2)
    assert broken.detail == "link 1: 5 entries were signed before, and 3 now"


def test_other_evidence_is_a_report_and_a_damaged_link_unreadable() -> None:
    watched = fleet()
    for sequence, body, kind in ((1, b'{"x":1}', Kind.REPORT), (2, b'{"link":1}', Kind.UNREADABLE)):
        found = publication(sequence, suffix="up/evidence", purpose=Purpose.CHECKPOINT, body=body)
        assert kinds(watched.handle(found, 1.0)) == [kind]


def step_of_an_update(reason: str = "") -> bytes:
    report = UpdateReport(
        "0123456789abcdef", Step.REFUSED, ReleaseKind.RULES, "fleet", "1.2", 7, "",
        Cause.SIGNATURE, reason,
    )  # fmt: skip
    judgement = updates.judge(report)
    return updates.draft(report, judgement, device="cam-7", tenant="acme", wall_s=1.0).body


def test_a_step_of_an_update_is_shown_with_its_reason() -> None:
    told = publication(
        1, suffix="up/update", purpose=Purpose.UPDATE, body=step_of_an_update("1 of 2 keys signed")
    )
    (note,) = fleet().handle(told, 1.0)
    words = "rules fleet 1.2 (counter 7): refused, signature: 1 of 2 keys signed"
    assert (note.kind, note.detail, note.severity) == (Kind.UPDATE, words, Severity.HIGH)
    assert note.update is not None
    assert note.update.cause is Cause.SIGNATURE


def test_a_step_that_passes_for_an_incident_is_refused() -> None:
    forged = publication(1, purpose=Purpose.UPDATE, body=step_of_an_update())
    assert kinds(fleet().handle(forged, 1.0)) == [Kind.BAD_SIGNATURE]


def test_a_signed_update_that_says_no_step_is_unreadable() -> None:
    told = publication(1, suffix="up/update", purpose=Purpose.UPDATE, body=b'{"class_uid":6002}')
    assert kinds(fleet().handle(told, 1.0)) == [Kind.UNREADABLE]
