from __future__ import annotations

import contextlib
import ipaddress
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import conntrack, netlink
from vedette.codec.conntrack import EVENT_NEW, Flow, parse_events
from vedette.errors import ParseError

NESTED = netlink.NLA_F_NESTED


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def nest(kind: int, *parts: bytes) -> bytes:
    return netlink.attribute(kind | NESTED, b"".join(parts))


def tuple_of(kind: int, source: bytes, destination: bytes, proto: bytes) -> bytes:
    first = 1 if len(source) == 4 else 3
    addresses = nest(1, netlink.attribute(first, source), netlink.attribute(first + 1, destination))
    return nest(kind, addresses, nest(2, proto))


def ports(number: int, source: int, destination: int) -> bytes:
    return (
        netlink.attribute(1, bytes([number]))
        + netlink.attribute(2, source.to_bytes(2))
        + netlink.attribute(3, destination.to_bytes(2))
    )


def event(source: str, destination: str, proto: bytes, reply: str | None = None) -> bytes:
    raw_source, raw_destination = packed(source), packed(destination)
    payload = (
        bytes((2 if len(raw_source) == 4 else 10, 0, 0, 0))
        + tuple_of(1, raw_source, raw_destination, proto)
        + tuple_of(2, packed(reply) if reply else raw_destination, raw_source, proto)
        + netlink.attribute(12, b"\0\0\0\1")
    )
    return netlink.pack(EVENT_NEW, 0x600, 0, payload)


ICMP = (
    netlink.attribute(1, b"\x01")
    + netlink.attribute(4, b"\0\1")
    + netlink.attribute(5, b"\x08")
    + netlink.attribute(6, b"\0")
)
V4 = event("192.0.2.1", "198.51.100.7", ports(6, 40000, 443))
V6 = event("2001:db8::1", "2001:db8::7", ports(17, 40000, 53))
NAT = event("192.0.2.1", "198.51.100.7", ports(6, 40000, 80), reply="192.0.2.80")
PING = event("192.0.2.1", "198.51.100.7", ICMP)
BARE = event("192.0.2.1", "198.51.100.7", netlink.attribute(1, b"\x2f"))

FLOWS = {
    "TCP over IPv4": (V4, ("tcp", "192.0.2.1", 40000, "198.51.100.7", 443, "198.51.100.7")),
    "UDP over IPv6": (V6, ("udp", "2001:db8::1", 40000, "2001:db8::7", 53, "2001:db8::7")),
    "a translated flow": (NAT, ("tcp", "192.0.2.1", 40000, "198.51.100.7", 80, "192.0.2.80")),
    "a ping": (PING, ("icmp", "192.0.2.1", 0, "198.51.100.7", 0, "198.51.100.7")),
    "a protocol without ports": (
        BARE,
        ("other", "192.0.2.1", 0, "198.51.100.7", 0, "198.51.100.7"),
    ),
}


@pytest.mark.parametrize("case", FLOWS)
def test_an_event_gives_its_flow(case: str) -> None:
    data, (protocol, source, source_port, destination, port, reply) = FLOWS[case]
    (flow,) = parse_events(data)
    assert flow == (protocol, packed(source), source_port, packed(destination), port, packed(reply))


def test_an_event_of_this_machines_kernel() -> None:
    # Recorded on Linux 6.18: 10.91.1.2:45036 to 10.91.2.2:5000, UDP.
    recorded = bytes.fromhex(
        "94000000000100060000000000000000020000003400018014000180080001000a5b0102080002000a5b0202"
        "1c000280050001001100000006000200afec000006000300138800003400028014000180080001000a5b0202"
        "080002000a5b01021c0002800500010011000000060002001388000006000300afec000008000c001b5d884b"
        "0800030000000008080007000000001e"
    )
    expected = Flow(
        "udp", packed("10.91.1.2"), 45036, packed("10.91.2.2"), 5000, packed("10.91.2.2")
    )
    assert parse_events(recorded) == [expected]
    assert conntrack._fast(recorded) == expected


@pytest.mark.parametrize("data", [V4, V6, NAT])
def test_the_fixed_offsets_and_the_walk_agree(data: bytes) -> None:
    fast = conntrack._fast(data)
    assert fast is not None
    assert fast == conntrack._walk(data[netlink.HEADER_BYTES :])


def test_two_events_in_a_datagram_are_walked() -> None:
    assert parse_events(V4 + V6) == parse_events(V4) + parse_events(V6)


def test_other_messages_are_passed_over() -> None:
    assert parse_events(netlink.pack(netlink.NLMSG_DONE, 0, 0, bytes(4))) == []


@pytest.mark.parametrize("case", FLOWS)
def test_a_cut_event_is_refused_at_every_byte(case: str) -> None:
    data = FLOWS[case][0]
    for size in range(1, len(data)):
        with pytest.raises(ParseError):
            parse_events(data[:size])


def test_an_event_without_addresses_is_refused() -> None:
    empty = netlink.pack(EVENT_NEW, 0, 0, bytes(4) + nest(1, nest(2, ports(6, 1, 2))))
    with pytest.raises(ParseError, match="two addresses"):
        parse_events(empty)


@given(st.binary(max_size=300))
def test_any_bytes_give_flows_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        parse_events(data)


@given(st.sampled_from([V4, V6, PING]), st.integers(0, 250), st.binary(min_size=1, max_size=8))
def test_any_damage_gives_flows_or_a_parse_error(data: bytes, at: int, patch: bytes) -> None:
    with contextlib.suppress(ParseError):
        for flow in parse_events(data[:at] + patch + data[at + len(patch) :]):
            assert len(flow.source) == len(flow.destination)


def test_how_full_the_table_is() -> None:
    payload = (
        bytes(4)
        + netlink.attribute(1, struct.pack(">I", 7))
        + netlink.attribute(2, struct.pack(">I", 100))
    )
    assert conntrack.parse_fill(payload) == (7, 100)
    assert conntrack.parse_fill(bytes(4)) == (0, 0)


@pytest.mark.parametrize("text", ["192.0.2.1", "2001:db8::1"])
def test_only_connections_with_the_peer_are_forgotten(text: str) -> None:
    peer = ipaddress.ip_address(text).packed
    source, destination = (1, 2) if len(peer) == 4 else (3, 4)
    expected = ((1, source, (1, 0)), (1, destination, (2, 0)), (2, source, (0, 1)))
    for request, (which, kind, flags) in zip(
        conntrack.forget_requests(peer), expected, strict=True
    ):
        assert (request.kind, request.family) == (2, 2 if len(peer) == 4 else 10)
        parts = netlink.attributes(request.attributes)
        assert set(parts) == {which, 25}
        addresses = netlink.attributes(netlink.attributes(parts[which])[1])
        assert addresses == {kind: peer}
        chosen = netlink.attributes(parts[25])
        assert tuple(int.from_bytes(chosen[n], sys.byteorder) for n in (1, 2)) == flags
