from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from vedette.codec import cloudevents
from vedette.codec.cloudevents import EventId
from vedette.codec.envelope import Purpose
from vedette.errors import ParseError
from vedette.model.message import Message

BOOT = "0123456789abcdef0123456789abcdef"


def message(sequence: int = 7, body: bytes = b"{}") -> Message:
    attributes = cloudevents.attributes(
        Purpose.INCIDENT, "acme", "cam-7", BOOT, sequence, 1_795_264_807.0, "feed", body
    )
    return Message(
        sequence, BOOT, "up/finding", "application/json", attributes, body, bytes(range(64)),
        retain=False, expiry_s=60,
    )  # fmt: skip


def test_attributes_are_those_of_cloudevents_in_sorted_order() -> None:
    assert message().attributes == (
        ("id", f"cam-7/{BOOT}/7"),
        ("source", "urn:vedette:acme:cam-7"),
        ("specversion", "1.0"),
        ("subject", "feed"),
        ("time", "2026-11-21T12:40:07.000Z"),
        ("type", "vedette.incident.v1"),
    )


def test_what_has_no_sequence_is_told_apart_by_its_body() -> None:
    ids = {dict(message(0, body).attributes)["id"] for body in (b"1", b"2", b"1")}
    assert len(ids) == 2
    for text in ids:
        assert cloudevents.parse_id(text) == EventId("cam-7", BOOT, 0)


def test_user_properties_are_read_back_whole() -> None:
    received = cloudevents.parse_properties(cloudevents.user_properties(message()))
    assert received.attributes == message().attributes
    assert received.event_id == EventId("cam-7", BOOT, 7)
    assert (received.purpose, received.signature) == (Purpose.INCIDENT, bytes(range(64)))


@pytest.mark.parametrize("wall_s", [-1e18, -1.0, 0.0, 1e12, 1e300])
def test_a_clock_that_jumped_far_gives_a_date_all_the_same(wall_s: float) -> None:
    assert cloudevents.rfc3339(wall_s).endswith("Z")


PAIRS = dict(cloudevents.user_properties(message()))
HOSTILE = {
    "no signature": {**PAIRS, "vsig": ""},
    "a short signature": {**PAIRS, "vsig": "AAAA"},
    "no base64": {**PAIRS, "vsig": "é" * 88},
    "another specification": {**PAIRS, "specversion": "0.3"},
    "an unknown purpose": {**PAIRS, "type": "vedette.gossip.v1"},
    "a purpose without its frame": {**PAIRS, "type": "incident"},
    "no sequence": {**PAIRS, "id": f"cam-7/{BOOT}"},
    "a sequence with a sign": {**PAIRS, "id": f"cam-7/{BOOT}/+7"},
    "a sequence with a leading zero": {**PAIRS, "id": f"cam-7/{BOOT}/07"},
    "a sequence of thousands of digits": {**PAIRS, "id": f"cam-7/{BOOT}/{'9' * 5000}"},
    "other digits": {**PAIRS, "id": f"cam-7/{BOOT}/\u0667"},
    "a tag after a sequence": {**PAIRS, "id": f"cam-7/{BOOT}/7/state"},
    "too many attributes": {**PAIRS, **{f"x{number}": "" for number in range(20)}},
}


@pytest.mark.parametrize("pairs", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_properties_are_refused(pairs: dict[str, str]) -> None:
    with pytest.raises(ParseError):
        cloudevents.parse_properties(pairs.items())


def test_an_attribute_given_twice_is_refused() -> None:
    with pytest.raises(ParseError, match="once"):
        cloudevents.parse_properties([*PAIRS.items(), ("id", "other")])


@given(st.lists(st.tuples(st.sampled_from([*PAIRS, "x"]), st.text(max_size=100)), max_size=10))
def test_any_properties_give_a_value_or_a_parse_error(pairs: list[tuple[str, str]]) -> None:
    with contextlib.suppress(ParseError):
        cloudevents.parse_properties(pairs)


@pytest.mark.parametrize("size", [0, 10, 200, 20_000])
def test_the_packet_is_never_larger_than_computed(size: int) -> None:
    found = message(body=bytes(size))
    topic = "fleet/v1/acme/cam-7/up/finding"
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = found.content_type
    properties.UserProperty = cloudevents.user_properties(found)
    properties.MessageExpiryInterval = found.expiry_s
    packed = properties.pack()  # type: ignore[no-untyped-call]
    rest = 2 + len(topic) + 2 + len(packed) + size
    computed = cloudevents.packet_bytes(found, topic)
    assert rest + 2 <= computed <= rest + 10
