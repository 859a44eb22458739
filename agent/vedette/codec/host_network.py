"""Addresses that this host's network needs, from the files that name them.

Rule: any bytes give addresses: a line that is none of its form names nobody. These lists only ever
protect, so that what a line hides costs protection, and what it forges protects more.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from vedette.codec.address_sets import address_number
from vedette.codec.addresses import address_text

MAX_LINES = 4096
_GATEWAY_V4 = 2  # /proc/net/route: the third column, proc(5)
_GATEWAY_V6 = 4  # /proc/net/ipv6_route: the fifth
_V4_DIGITS, _V6_DIGITS = 8, 32
_SERVER = re.compile(
    rb"^\s*(?:nameserver\s+|SERVER_ADDRESS=|option dhcp-server-identifier\s+)"
    rb"([0-9A-Fa-f:.]{2,45})(?:%\S+)?;?\s*$",
    re.MULTILINE,
)


def gateways(route: bytes, byte_order: str = sys.byteorder) -> Iterator[str]:
    """The gateways of /proc/net/route (IPv4, in this machine's byte order)."""
    for column in _columns(route, _GATEWAY_V4, _V4_DIGITS):
        raw = bytes.fromhex(column)
        yield address_text(raw[::-1] if byte_order == "little" else raw)


def gateways_v6(route: bytes) -> Iterator[str]:
    """The gateways of /proc/net/ipv6_route."""
    for column in _columns(route, _GATEWAY_V6, _V6_DIGITS):
        yield address_text(bytes.fromhex(column))


def servers(text: bytes) -> Iterator[str]:
    """Name servers of resolv.conf(5), DHCP servers of networkd's and dhclient's leases."""
    for found in _SERVER.findall(text):
        address = found.decode("ascii")
        if address_number(address) is not None:
            yield address.lower()


def _columns(table: bytes, number: int, digits: int) -> Iterator[str]:
    for line in table.splitlines()[:MAX_LINES]:
        columns = line.split()
        if len(columns) <= number or not re.fullmatch(
            rb"[0-9A-Fa-f]{%d}" % digits, columns[number]
        ):
            continue
        if columns[number].strip(b"0"):
            yield columns[number].decode("ascii")
