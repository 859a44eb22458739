"""Addresses of this host as rtnetlink(7) tells them.

Rule: any bytes give an address, None (a message about something else) or a ParseError.
"""

from __future__ import annotations

from vedette.codec import netlink
from vedette.errors import ParseError

RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22
RTMGRP_IPV4_IFADDR = 0x10
RTMGRP_IPV6_IFADDR = 0x100

_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFADDRMSG_BYTES = 8
_ADDRESS_BYTES = frozenset({4, 16})


def addresses_request(*, sequence: int) -> bytes:
    """Ask for all addresses of all interfaces."""
    flags = netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP
    return netlink.pack(RTM_GETADDR, flags, sequence, bytes(_IFADDRMSG_BYTES))


def parse_address(message: netlink.Message) -> bytes | None:
    """The raw address that a reply names; on a point-to-point link this host's end.

    Raises:
        ParseError: the message is cut or its address has no known length.
    """
    if message.type != RTM_NEWADDR:
        return None
    if len(message.payload) < _IFADDRMSG_BYTES:
        raise ParseError(f"expected {_IFADDRMSG_BYTES} bytes of ifaddrmsg", len(message.payload))
    parts = netlink.attributes(message.payload[_IFADDRMSG_BYTES:])
    address = parts.get(_IFA_LOCAL) or parts.get(_IFA_ADDRESS)
    if address is None:
        return None
    if len(address) not in _ADDRESS_BYTES:
        raise ParseError(f"expected an address of 4 or 16 bytes, got {len(address)}")
    return address
