from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators import dns_bytes

from vedette.model.event import NameQueried, NameResolved
from vedette.uplink import dns
from vedette.uplink.dns import NameMatcher

HOST = ("192.0.2.10", 4000)
SERVER = ("192.0.2.53", 53)


def asked(matcher: NameMatcher, name: str = "cam.example", at_s: float = 1.0) -> list[object]:
    packet = dns_bytes.udp(HOST, SERVER, dns_bytes.query(name))
    return list(matcher.take(packet, at_s, is_outgoing=True))


def answered(matcher: NameMatcher, message: bytes, at_s: float = 1.1) -> list[object]:
    packet = dns_bytes.udp(SERVER, HOST, message)
    return list(matcher.take(packet, at_s, is_outgoing=False))


ANSWER = dns_bytes.answer("cam.example", [dns_bytes.address_record("cam.example", "198.51.100.7")])
RESOLVED = NameResolved(1.1, "dns", "cam.example", "198.51.100.7", 60)


def test_a_query_and_its_answer_name_the_address() -> None:
    matcher = NameMatcher()
    assert asked(matcher) == [NameQueried(1.0, "dns", "cam.example", 1)]
    assert answered(matcher, ANSWER) == [RESOLVED]


def test_an_answer_without_a_query_is_ignored_and_counted() -> None:
    matcher = NameMatcher()
    assert answered(matcher, ANSWER) == []
    assert matcher.counts["unasked"] == 1


FOREIGN_ANSWERS = {
    "another id": dns_bytes.udp(
        SERVER,
        HOST,
        dns_bytes.answer(
            "cam.example", [dns_bytes.address_record("cam.example", "6.6.6.6")], message_id=8
        ),
    ),
    "another name": dns_bytes.udp(
        SERVER,
        HOST,
        dns_bytes.answer("evil.example", [dns_bytes.address_record("evil.example", "6.6.6.6")]),
    ),
    "another type": dns_bytes.udp(
        SERVER,
        HOST,
        dns_bytes.answer(
            "cam.example", [dns_bytes.address_record("cam.example", "6.6.6.6")], query_type=28
        ),
    ),
    "another server": dns_bytes.udp(("203.0.113.1", 53), HOST, ANSWER),
    "another server port": dns_bytes.udp((SERVER[0], 5353), HOST, ANSWER),
    "another client": dns_bytes.udp(SERVER, ("192.0.2.11", 4000), ANSWER),
    "another client port": dns_bytes.udp(SERVER, ("192.0.2.10", 4001), ANSWER),
}


@pytest.mark.parametrize("case", FOREIGN_ANSWERS)
def test_an_answer_to_another_question_is_ignored(case: str) -> None:
    matcher = NameMatcher()
    asked(matcher)
    assert matcher.take(FOREIGN_ANSWERS[case], 1.05, is_outgoing=False) == []
    assert answered(matcher, ANSWER) == [RESOLVED]


def test_a_second_answer_is_ignored() -> None:
    matcher = NameMatcher()
    asked(matcher)
    answered(matcher, ANSWER)
    second = dns_bytes.answer("cam.example", [dns_bytes.address_record("cam.example", "6.6.6.6")])
    assert answered(matcher, second) == []


def test_a_late_answer_is_ignored() -> None:
    matcher = NameMatcher()
    asked(matcher, at_s=1.0)
    assert answered(matcher, ANSWER, at_s=1.0 + dns.ANSWER_WITHIN_S) == []


def test_an_alias_names_the_address_by_the_asked_name() -> None:
    matcher = NameMatcher()
    asked(matcher)
    message = dns_bytes.answer(
        "cam.example",
        [
            dns_bytes.cname_record("cam.example", "edge.cdn.example"),
            dns_bytes.cname_record("edge.cdn.example", "pop.cdn.example"),
            dns_bytes.address_record("pop.cdn.example", "2001:db8::7"),
        ],
    )
    assert answered(matcher, message) == [
        NameResolved(1.1, "dns", "cam.example", "2001:db8::7", 60)
    ]


def test_records_of_other_names_are_ignored() -> None:
    matcher = NameMatcher()
    asked(matcher)
    message = dns_bytes.answer(
        "cam.example",
        [
            dns_bytes.address_record("bank.example", "6.6.6.6"),
            dns_bytes.address_record("cam.example", "198.51.100.7"),
        ],
    )
    assert answered(matcher, message) == [RESOLVED]


def test_aliases_in_a_circle_end() -> None:
    matcher = NameMatcher()
    asked(matcher)
    message = dns_bytes.answer(
        "cam.example",
        [dns_bytes.cname_record("cam.example", "b"), dns_bytes.cname_record("b", "cam.example")],
    )
    assert answered(matcher, message) == []


def test_a_retransmission_and_a_stub_resolver_say_a_name_once() -> None:
    matcher = NameMatcher()
    asked(matcher)
    through_stub = dns_bytes.udp(
        ("127.0.0.1", 9), ("127.0.0.53", 53), dns_bytes.query("cam.example")
    )
    assert matcher.take(through_stub, 1.5, is_outgoing=True) == []
    assert asked(matcher, at_s=1.0 + dns.ECHO_WITHIN_S + 1.5) != []


def test_what_a_router_passes_on_is_not_a_query_of_this_host() -> None:
    matcher = NameMatcher()
    query = dns_bytes.query("tv.example", message_id=99)
    came_in = dns_bytes.udp(("10.0.0.5", 1234), SERVER, query)
    masqueraded = dns_bytes.udp(("192.0.2.10", 1234), SERVER, query)
    assert matcher.take(came_in, 1.0, is_outgoing=False) == []
    assert matcher.take(masqueraded, 1.0, is_outgoing=True) == []
    assert matcher.counts["forwarded"] == 1


def test_a_forwarder_names_what_it_asks_upstream_itself() -> None:
    matcher = NameMatcher()
    client = dns_bytes.udp(("10.0.0.5", 1234), ("10.0.0.1", 53), dns_bytes.query("tv.example"))
    upstream = dns_bytes.udp(HOST, SERVER, dns_bytes.query("tv.example", message_id=4711))
    assert matcher.take(client, 1.0, is_outgoing=False) == []
    assert matcher.take(upstream, 1.0, is_outgoing=True) == [
        NameQueried(1.0, "dns", "tv.example", 1)
    ]


def test_an_unreadable_answer_to_our_query_is_a_loss_and_other_garbage_is_not() -> None:
    matcher = NameMatcher()
    asked(matcher)
    assert answered(matcher, b"\x99\x99garbage") == []
    assert matcher.counts["missed"] == 0
    assert answered(matcher, ANSWER[:-2]) == []
    assert matcher.counts["missed"] == 1


def test_a_flood_of_queries_forgets_the_oldest_and_says_so() -> None:
    matcher = NameMatcher()
    for number in range(dns.MAX_REMEMBERED + 5):
        asked(matcher, f"n{number}.example")
    assert matcher.forgotten == 5


@given(st.binary(max_size=200), st.booleans())
def test_any_packet_is_taken_without_an_error(data: bytes, is_outgoing: bool) -> None:  # noqa: FBT001
    NameMatcher().take(data, 1.0, is_outgoing=is_outgoing)
