"""The filter is run by a small interpreter of classic BPF."""

from __future__ import annotations

import struct
import sys

import pytest
from tests.unit.codec.test_conntrack import ICMP, event, packed, ports

from vedette.codec import bpf
from vedette.codec.bpf import Step, assemble
from vedette.codec.conntrack_filter import MAX_ADDRESSES, own_flows

OURS = frozenset(packed(a) for a in ("192.0.2.1", "10.0.0.1", "2001:db8::1", "fe80::1"))


def run(program: tuple[Step, ...], packet: bytes) -> int:
    """What the program returns; a load outside the packet returns 0, as in the kernel."""
    steps = [struct.unpack_from("=HBBI", assemble(program), 8 * n) for n in range(len(program))]
    accumulator = index = place = 0
    while True:
        code, then, otherwise, value = steps[place]
        place += 1
        if code in {bpf.LOAD_BYTE, bpf.LOAD_WORD, bpf.LOAD_WORD_INDEXED}:
            at = value + (index if code == bpf.LOAD_WORD_INDEXED else 0)
            size = 1 if code == bpf.LOAD_BYTE else 4
            if at + size > len(packet):
                return 0
            accumulator = int.from_bytes(packet[at : at + size])
        elif code == bpf.AND:
            accumulator &= value
        elif code == bpf.COPY_TO_X:
            index = accumulator
        elif code == bpf.JUMP:
            place += value
        elif code == bpf.JUMP_IF_EQUAL:
            place += then if accumulator == value else otherwise
        else:
            assert code == bpf.RETURN
            return int(value)


TCP = ports(6, 40000, 443)
PASSED = {
    "a flow that begins here": event("192.0.2.1", "198.51.100.7", TCP),
    "a flow that ends here": event("198.51.100.7", "10.0.0.1", TCP),
    "IPv6 from here": event("fe80::1", "fe80::2", TCP),
    "IPv6 to here": event("2001:db8::7", "2001:db8::1", TCP),
    "IPv4 loopback, any address": event("127.3.2.1", "127.0.0.1", TCP),
    "IPv6 loopback": event("::1", "::1", TCP),
    "a ping from here": event("192.0.2.1", "198.51.100.7", ICMP),
    "a ping to here": event("198.51.100.7", "192.0.2.1", ICMP),
    "redirected to here": event("198.51.100.7", "203.0.113.1", TCP, reply="10.0.0.1"),
}
DROPPED = {
    "forwarded": event("10.0.0.2", "198.51.100.7", TCP),
    "a forwarded ping": event("10.0.0.2", "198.51.100.7", ICMP),
    "forwarded IPv6": event("2001:db8::2", "2001:db8::3", TCP),
    "a port forwarded inwards": event("198.51.100.7", "192.0.2.1", TCP, reply="10.0.0.2"),
}


@pytest.mark.parametrize("case", PASSED)
def test_own_flows_pass(case: str) -> None:
    assert run(own_flows(OURS, sys.byteorder), PASSED[case]) > 0


@pytest.mark.parametrize("case", DROPPED)
def test_forwarded_flows_are_dropped(case: str) -> None:
    assert run(own_flows(OURS, sys.byteorder), DROPPED[case]) == 0


def test_another_family_passes() -> None:
    assert run(own_flows(OURS, sys.byteorder), bytes(16) + b"\x07" + bytes(80)) > 0


def test_a_host_without_addresses_still_sees_loopback() -> None:
    program = own_flows(frozenset(), sys.byteorder)
    assert run(program, PASSED["IPv4 loopback, any address"]) > 0
    assert run(program, PASSED["IPv6 loopback"]) > 0
    assert run(program, PASSED["a flow that begins here"]) == 0


@pytest.mark.parametrize(("family", "size"), [(2, 4), (10, 16)])
def test_at_the_limit_it_filters_and_beyond_it_passes_all(family: int, size: int) -> None:
    case = "forwarded" if family == 2 else "forwarded IPv6"
    few = frozenset(n.to_bytes(size) for n in range(1, MAX_ADDRESSES[family] + 1))
    program = own_flows(few, sys.byteorder)
    assert len(program) * 8 < 20_480 // 2
    assert run(program, DROPPED[case]) == 0
    many = few | {bytes([1] * size), bytes([2] * size)}
    assert run(own_flows(many, sys.byteorder), DROPPED[case]) > 0
