"""Sets of addresses, against the standard library on the same addresses."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.address_sets import AddressSet, address_number
from vedette.errors import ParseError

INSIDE = {
    "10.1.2.3": "10.0.0.0/8",
    "192.0.2.7": "192.0.2.7",
    "::ffff:192.0.2.7": "192.0.2.7",
    "192.0.2.8": "::ffff:192.0.2.8",
    "fe80::1": "fe80::/10",
    "2001:db8::1": "::/0",
    "255.255.255.255": "0.0.0.0/0",
}
OUTSIDE = {
    "11.0.0.1": "10.0.0.0/8",
    "192.0.2.6": "192.0.2.7",
    "2001:db8::1": "0.0.0.0/0",
    "192.0.2.1": "::/0",
    "fec0::1": "fe80::/10",
    "fe80::1%eth0": "fe80::/10",
    "host": "0.0.0.0/0",
}


@pytest.mark.parametrize("address", INSIDE)
def test_inside(address: str) -> None:
    assert address in AddressSet([INSIDE[address]])


@pytest.mark.parametrize("address", OUTSIDE)
def test_outside(address: str) -> None:
    assert address not in AddressSet([OUTSIDE[address]])


def test_only_text_can_be_inside() -> None:
    assert 1 not in AddressSet(["0.0.0.0/0"])


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/x", "1.2.3", "1::2::3", "::1.2.3.4:5"],
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="expected"):
        AddressSet([text])


@given(st.ip_addresses())
def test_numbers_are_those_of_the_standard_library(address: ipaddress.IPv4Address) -> None:
    found = address_number(str(address))
    mapped = getattr(address, "ipv4_mapped", None)
    expected = mapped or address
    assert found is not None
    assert (found.bits, found.value) == (expected.max_prefixlen, int(expected))


@given(st.ip_addresses(v=6))
def test_every_spelling_is_one_number(address: ipaddress.IPv6Address) -> None:
    assert address_number(address.exploded) == address_number(address.compressed)


@given(st.text("0123456789abcdefABCDEF:./%", max_size=24))
def test_any_text_is_read_as_the_standard_library_reads_it(text: str) -> None:
    try:
        expected: ipaddress.IPv4Address | ipaddress.IPv6Address | None = ipaddress.ip_address(text)
    except ValueError:
        expected = None
    if "%" not in text:
        assert (address_number(text) is None) == (expected is None)


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 32))
def test_networks_hold_what_theirs_hold(
    address: ipaddress.IPv4Address, base: ipaddress.IPv4Address, prefix: int
) -> None:
    network = ipaddress.ip_network(f"{base}/{prefix}", strict=False)
    assert (str(address) in AddressSet([f"{base}/{prefix}"])) == (address in network)
