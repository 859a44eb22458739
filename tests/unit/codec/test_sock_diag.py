from __future__ import annotations

import contextlib
import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import netlink, sock_diag
from vedette.codec.sock_diag import SocketRecord, parse_socket
from vedette.errors import ParseError


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def reply(family: int, local: str, remote: str) -> bytes:
    return (
        struct.pack("=BBBB", family, 1, 0, 0)
        + struct.pack(">HH", 40000, 443)
        + packed(local).ljust(16, b"\0")
        + packed(remote).ljust(16, b"\0")
        + struct.pack("=III", 0, 1, 2)
        + struct.pack("=IIIII", 0, 0, 0, 1000, 4242)
    )


V4 = reply(2, "192.0.2.1", "198.51.100.7")
V6 = reply(10, "2001:db8::1", "2001:db8::7")
RECORDS = {
    "IPv4": (V4, 2, "192.0.2.1", "198.51.100.7"),
    "IPv6": (V6, 10, "2001:db8::1", "2001:db8::7"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_reply_gives_its_socket(case: str) -> None:
    data, family, local, remote = RECORDS[case]
    expected = SocketRecord(family, 1, packed(local), 40000, packed(remote), 443, 1000, 4242)
    assert parse_socket(data) == expected
    assert parse_socket(data + b"attributes") == expected


@pytest.mark.parametrize("case", RECORDS)
def test_a_cut_reply_is_refused_at_every_byte(case: str) -> None:
    data = RECORDS[case][0]
    for size in range(len(data)):
        with pytest.raises(ParseError):
            parse_socket(data[:size])


def test_another_family_is_refused() -> None:
    with pytest.raises(ParseError, match="family 2 or 10"):
        parse_socket(b"\x01" + V4[1:])


@given(st.binary(max_size=120))
def test_any_bytes_give_a_socket_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        parse_socket(data)


def test_an_exact_request_names_the_endpoints_as_each_protocol_wants_them() -> None:
    ends = (packed("192.0.2.1"), 1, packed("198.51.100.7"), 2)
    tcp, udp = (
        next(netlink.messages(sock_diag.exact_request(number, *ends, sequence=5)))
        for number in (sock_diag.IPPROTO_TCP, sock_diag.IPPROTO_UDP)
    )
    assert (tcp.type, tcp.flags, tcp.sequence) == (20, netlink.NLM_F_REQUEST, 5)
    assert tcp.payload[:2] == b"\x02\x06"
    assert tcp.payload[8:12] == b"\0\1\0\2"
    assert tcp.payload[12:16] == packed("192.0.2.1")
    assert udp.payload[8:12] == b"\0\2\0\1"
    assert udp.payload[12:16] == packed("198.51.100.7")
    assert len(tcp.payload) == len(udp.payload) == 56


def test_a_dump_request_names_family_protocol_and_states() -> None:
    (message,) = netlink.messages(sock_diag.dump_request(10, 17, 1 << 7, sequence=9))
    assert message.flags == netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP
    assert struct.unpack_from("=BBBxI", message.payload) == (10, 17, 0, 1 << 7)


def test_the_kernel_itself_looks_for_the_sockets_of_one_peer() -> None:
    for peer, family, size in (("192.0.2.1", 2, 4), ("2001:db8::1", 10, 16)):
        data = sock_diag.peer_request(10, sock_diag.IPPROTO_TCP, 1 << 1, packed(peer), sequence=3)
        (message,) = netlink.messages(data)
        assert message.flags == netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP
        assert message.payload[:2] == b"\x0a\x06"
        (program,) = netlink.attributes(message.payload[56:]).values()
        code, yes, no = struct.unpack_from("=BBH", program)
        assert (code, yes, no) == (8, len(program), len(program) + 4)
        assert program[4:6] == bytes((family, size * 8))
        assert program[8:12] == b"\xff" * 4
        assert program[12:] == packed(peer)


def test_a_socket_is_ended_by_all_that_names_it() -> None:
    cookie = struct.pack("=III", 0, 1, 2)
    for data, family in ((V4, 2), (V6, 10)):
        request = sock_diag.destroy_request(sock_diag.IPPROTO_TCP, data, sequence=8)
        (message,) = netlink.messages(request)
        assert message.type == sock_diag.SOCK_DESTROY
        assert message.flags == netlink.NLM_F_REQUEST | netlink.NLM_F_ACK
        assert message.payload[:2] == bytes((family, 6))
        assert message.payload[8:] == data[4:52]
        assert message.payload.endswith(cookie)
