from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.flow import Flow, Network, parse_flow, parse_flows, parse_network
from vedette.errors import ParseError

FLOWS = {
    "in tcp 502": Flow("in", "tcp", 502, None),
    "out udp 123 192.0.2.1": Flow("out", "udp", 123, Network(b"\xc0\0\2\1", 32)),
    "  forward   tcp 443 10.9.8.7/8 ": Flow("forward", "tcp", 443, Network(b"\x0a\0\0\0", 8)),
    "in udp 1 ::/0": Flow("in", "udp", 1, Network(bytes(16), 0)),
    "in udp 65535 fd00::1/16": Flow("in", "udp", 65535, Network(b"\xfd\0" + bytes(14), 16)),
}


@pytest.mark.parametrize("text", FLOWS)
def test_a_flow_is_read(text: str) -> None:
    assert parse_flow(text) == FLOWS[text]


def test_flows_are_separated_by_commas_and_an_empty_text_has_none() -> None:
    assert parse_flows(", ".join(FLOWS)) == tuple(FLOWS.values())
    assert parse_flows(" , ") == parse_flows("") == ()


WRONG = {
    "": "expected a flow such as",
    "in": "expected a flow such as",
    "in tcp": "expected a flow such as",
    "in tcp 502 10.0.0.0/8 more": "expected a flow such as",
    "from tcp 502": "'from' 'tcp'",
    "in icmp 502": "'in' 'icmp'",
    "in tcp 0": "expected a port of 1 to 65535, got '0'",
    "in tcp 65536": "expected a port of 1 to 65535, got '65536'",
    "in tcp +80": "expected a port",
    "in tcp \u0661": "expected a port",
    "in tcp http": "expected a port",
    "in tcp 502 a.example": "expected an address or network",
    "in tcp 502 10.0.0.0/33": "expected a prefix of 0 to 32 bits",
    "in tcp 502 10.0.0.0/": "expected a prefix of 0 to 32 bits",
    "in tcp 502 ::/129": "expected a prefix of 0 to 128 bits",
    "in tcp 502 ::/-1": "expected a prefix of 0 to 128 bits",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_flow_is_refused_with_what_is_wrong(text: str) -> None:
    with pytest.raises(ParseError, match=WRONG[text].replace("/", ".")):
        parse_flow(text)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.data())
def test_a_network_is_as_ipaddress_reads_it(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, data: st.DataObject
) -> None:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    prefix = data.draw(st.integers(0, (mapped or address).max_prefixlen))
    expected = ipaddress.ip_network(f"{mapped or address}/{prefix}", strict=False)
    network = parse_network(f"{address}/{prefix}")
    assert network == Network(expected.network_address.packed, prefix)
    assert network.mask == expected.netmask.packed


@given(st.text(max_size=60))
def test_any_text_gives_flows_or_a_parse_error(text: str) -> None:
    with contextlib.suppress(ParseError):
        for flow in parse_flows(text):
            assert 1 <= flow.port <= 65535
