from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.addresses import address_text, is_loopback, network_of
from vedette.errors import ParseError

RFC_5952 = {
    "the longest run of zeros is shortened": ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
    "of equal runs the first is shortened": ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    "one zero group alone stays": ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    "the unspecified address": ("0:0:0:0:0:0:0:0", "::"),
    "loopback": ("0:0:0:0:0:0:0:1", "::1"),
    "a run at the end": ("fe80:0:0:0:0:0:0:0", "fe80::"),
    "mapped IPv4 reads as IPv4": ("::ffff:192.0.2.7", "192.0.2.7"),
}


@pytest.mark.parametrize("case", RFC_5952)
def test_ipv6_text_follows_rfc_5952(case: str) -> None:
    given_text, expected = RFC_5952[case]
    assert address_text(ipaddress.ip_address(given_text).packed) == expected


def test_ipv4_is_dotted_decimal() -> None:
    assert address_text(b"\xc0\x00\x02\xff") == "192.0.2.255"


@given(st.binary(min_size=16, max_size=16))
def test_ipv6_text_agrees_with_the_standard_library(raw: bytes) -> None:
    address = ipaddress.IPv6Address(raw)
    expected = address.ipv4_mapped or address
    assert address_text(raw) == expected.compressed


@given(st.binary(max_size=40).filter(lambda raw: len(raw) not in {4, 16}))
def test_other_lengths_are_refused(raw: bytes) -> None:
    with pytest.raises(ParseError, match="4 or 16"):
        address_text(raw)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_the_network_of_an_address_holds_it_and_is_its_own(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    text = network_of(address_text(address.packed))
    network = ipaddress.ip_network(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    assert (mapped or address) in network
    assert network.prefixlen == (24 if network.version == 4 else 64)
    assert network_of(text.partition("/")[0]) == text


@pytest.mark.parametrize(
    "text", ["", "a.example", "1.2.3", "1.2.3.4.", "1.2.3.256", "01.2.3.4", ":::", "1::2::3",
             "1:2:3:4:5:6:7::8", "fe80::1%eth0", "10.0.0.0/24", "1.2.3.4\n"]
)  # fmt: skip
def test_what_is_no_address_has_no_network(text: str) -> None:
    assert network_of(text) == ""


@pytest.mark.parametrize("text", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_known_in_all_its_forms(text: str) -> None:
    assert is_loopback(ipaddress.ip_address(text).packed)


@pytest.mark.parametrize("text", ["128.0.0.1", "::", "::2", "::ffff:126.0.0.1", "7f00::"])
def test_what_only_looks_like_loopback_is_none(text: str) -> None:
    assert not is_loopback(ipaddress.ip_address(text).packed)
