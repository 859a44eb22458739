from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators import dns_bytes
from tests.simulators.cuts import taken_when_cut

from vedette.codec.dns import MAX_RECORDS, DnsMessage, DnsRecord, parse_message
from vedette.errors import ParseError

QUERY = dns_bytes.query("Cam.Example.COM", message_id=513)
ANSWER = dns_bytes.answer(
    "cam.example.com",
    [
        dns_bytes.record(dns_bytes.ASKED, dns_bytes.CNAME, b"\x03cdn\xc0\x10"),
        dns_bytes.address_record("cdn.example.com", "192.0.2.4", ttl_s=30),
        dns_bytes.address_record("cdn.example.com", "2001:db8::4"),
        dns_bytes.record(dns_bytes.ASKED, 16, b"\x04text"),
    ],
)


def test_a_query_gives_its_name_in_lower_case() -> None:
    assert parse_message(QUERY) == DnsMessage(513, False, "cam.example.com", 1, ())


def test_an_answer_gives_addresses_and_aliases_in_order() -> None:
    assert parse_message(ANSWER) == DnsMessage(
        7,
        True,
        "cam.example.com",
        1,
        (
            DnsRecord("cam.example.com", 5, 60, "cdn.example.com"),
            DnsRecord("cdn.example.com", 1, 30, "192.0.2.4"),
            DnsRecord("cdn.example.com", 28, 60, "2001:db8::4"),
        ),
    )


@pytest.mark.parametrize("whole", [ANSWER, QUERY], ids=["answer", "query"])
def test_a_cut_message_is_refused_at_every_byte(whole: bytes) -> None:
    assert taken_when_cut(parse_message, whole, range(len(whole))) == []


def test_a_tail_changes_nothing() -> None:
    assert parse_message(ANSWER + b"\xff" * 40) == parse_message(ANSWER)


HOSTILE = {
    "a pointer to itself": (b"\xc0\x0c", "backwards"),
    "a pointer ahead": (b"\xc0\x20", "backwards"),
    "a reserved label": (b"\x80a\0", "label or a pointer"),
    "a name of 260 bytes": (b"\x3f" + b"a" * 63 + (b"\x3f" + b"b" * 63) * 4 + b"\0", "at most 255"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_name_is_refused(case: str) -> None:
    name, message = HOSTILE[case]
    header = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0)
    with pytest.raises(ParseError, match=message):
        parse_message(header + name + b"\0\1\0\1")


def test_a_dot_inside_a_label_never_makes_a_parent() -> None:
    header = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0)
    message = parse_message(header + b"\x08evil.com\0" + b"\0\1\0\1")
    assert message.name == "evil\\.com"


def test_bytes_outside_utf_8_survive() -> None:
    header = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0)
    name = parse_message(header + b"\x02\xff\xfe\0" + b"\0\1\0\1").name
    assert name.encode("utf-8", "surrogateescape") == b"\xff\xfe"


@pytest.mark.parametrize("questions", [0, 2, 65535])
def test_other_than_one_question_is_refused(questions: int) -> None:
    with pytest.raises(ParseError, match="one question"):
        parse_message(struct.pack(">HHHHHH", 1, 0x0100, questions, 0, 0, 0) + b"\0" * 20)


def test_an_update_message_is_refused() -> None:
    with pytest.raises(ParseError, match="standard query"):
        parse_message(struct.pack(">HHHHHH", 1, 0x2800, 1, 0, 0, 0) + b"\0" * 20)


def test_records_beyond_the_limit_are_not_read() -> None:
    records = [dns_bytes.address_record("a", f"192.0.2.{n}") for n in range(200)]
    assert len(parse_message(dns_bytes.answer("a", records)).records) == MAX_RECORDS


def test_a_ttl_with_the_top_bit_set_counts_as_zero() -> None:
    message = dns_bytes.answer("a", [dns_bytes.address_record("a", "192.0.2.1", ttl_s=1 << 31)])
    assert parse_message(message).records[0].ttl_s == 0


@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        parse_message(data)


@given(st.integers(0, len(ANSWER) - 1), st.binary(min_size=1, max_size=6))
def test_any_damage_gives_a_value_or_a_parse_error(position: int, patch: bytes) -> None:
    damaged = ANSWER[:position] + patch + ANSWER[position + len(patch) :]
    with contextlib.suppress(ParseError):
        message = parse_message(damaged)
        assert len(message.name) <= 4 * 255
        assert len(message.records) <= MAX_RECORDS
