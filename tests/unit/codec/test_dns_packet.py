from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators import dns_bytes

from vedette.codec.dns_packet import DnsPacket, parse_packet
from vedette.errors import ParseError

QUERY = dns_bytes.query("example.com")
V4 = dns_bytes.udp(("192.0.2.1", 4000), ("192.0.2.53", 53), QUERY)
V6 = dns_bytes.udp(("2001:db8::1", 4000), ("2001:db8::53", 53), QUERY)
TCP = dns_bytes.tcp(("192.0.2.1", 4000), ("192.0.2.53", 53), len(QUERY).to_bytes(2, "big") + QUERY)


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


WHOLE = {
    "UDP over IPv4": (V4, "192.0.2.1", "192.0.2.53"),
    "UDP over IPv6": (V6, "2001:db8::1", "2001:db8::53"),
    "TCP over IPv4": (TCP, "192.0.2.1", "192.0.2.53"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_packet_gives_endpoints_and_message(case: str) -> None:
    data, source, destination = WHOLE[case]
    expected = DnsPacket(packed(source), 4000, packed(destination), 53, QUERY)
    assert parse_packet(data) == expected
    assert parse_packet(data + b"link padding") == expected


@pytest.mark.parametrize("case", WHOLE)
def test_a_cut_packet_is_refused_at_every_byte(case: str) -> None:
    data = WHOLE[case][0]
    for size in range(len(data)):
        with pytest.raises(ParseError):
            parse_packet(data[:size])


def test_ip_options_are_skipped() -> None:
    with_options = b"\x46" + V4[1:2] + (len(V4) + 4).to_bytes(2, "big") + V4[4:20]
    packet = parse_packet(with_options + b"\x01\x01\x01\x00" + V4[20:])
    assert packet is not None
    assert packet.message == QUERY


def test_a_segment_without_content_holds_nothing() -> None:
    assert parse_packet(dns_bytes.tcp(("192.0.2.1", 4000), ("192.0.2.53", 53), b"")) is None


REFUSED = {
    "another IP version": (b"\x50" + V4[1:], "version 4 or 6"),
    "a header shorter than IP allows": (b"\x44" + V4[1:], "at least 20 bytes"),
    "another protocol": (V4[:9] + b"\x01" + V4[10:], "UDP or TCP"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_packets_are_refused(case: str) -> None:
    data, message = REFUSED[case]
    with pytest.raises(ParseError, match=message):
        parse_packet(data)


def test_the_first_segment_of_a_long_message_gives_its_part() -> None:
    part = dns_bytes.tcp(("192.0.2.53", 53), ("192.0.2.1", 4000), b"\x10\x00" + QUERY)
    packet = parse_packet(part)
    assert packet is not None
    assert packet.message == QUERY


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_none_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        parse_packet(data)
