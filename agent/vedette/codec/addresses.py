"""IP addresses from the network's bytes to the text events carry.

Rule 1: one address has one text: RFC 5952 for IPv6, dotted decimal for IPv4 and for IPv4-mapped
IPv6 (RFC 4291 2.5.5.2), because a rule compares text.
Rule 2: any 4 or 16 bytes have a text.
"""

from __future__ import annotations

import re
from struct import Struct

from vedette.errors import ParseError

_EIGHT_GROUPS = Struct(">8H")
_IPV4_BYTES = 4
_IPV6_BYTES = 16
_SHORTEST_RUN = 2  # RFC 5952 4.2.2: one group alone is never shortened
_IPV6_GROUPS = 8
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
_IPV6 = re.compile(r"[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}")
_MAPPED_PREFIX = b"\0" * 10 + b"\xff\xff"
_LOOPBACK = 127
_IPV6_LOOPBACK = bytes(15) + b"\1"
_MAPPED_LOOPBACK = _MAPPED_PREFIX + b"\x7f"


def address_text(raw: bytes) -> str:
    """Text of an address in network byte order.

    Args:
        raw: 4 bytes (IPv4) or 16 bytes (IPv6).

    Raises:
        ParseError: any other length.
    """
    if len(raw) == _IPV4_BYTES:
        return _ipv4_text(raw)
    if len(raw) != _IPV6_BYTES:
        raise ParseError(f"expected an address of 4 or 16 bytes, got {len(raw)}")
    if raw.startswith(_MAPPED_PREFIX):
        return _ipv4_text(raw[12:])
    return _ipv6_text(_EIGHT_GROUPS.unpack(raw))


def is_loopback(raw: bytes) -> bool:
    """Whether an address is within 127.0.0.0/8, also in its IPv6 form, or ::1."""
    if len(raw) == _IPV4_BYTES:
        return raw[0] == _LOOPBACK
    return raw == _IPV6_LOOPBACK or raw.startswith(_MAPPED_LOOPBACK)


def network_of(text: str) -> str:
    """The /24 (IPv4) or /64 (IPv6) of an address's text, "" for what is no address.

    IPv6 networks are written with their four groups, `2001:db8:0:1::/64`; a zone (`%eth0`) is none
    of an address as events carry it.
    """
    if ":" in text:
        return _network_of_ipv6(text)
    if _IPV4.fullmatch(text) is None:
        return ""
    return f"{text.rpartition('.')[0]}.0/24"


def _network_of_ipv6(text: str) -> str:
    if _IPV6.fullmatch(text) is None:
        return ""
    head, run, tail = text.partition("::")
    before, after = (part.split(":") if part else [] for part in (head, tail))
    zeros = _IPV6_GROUPS - len(before) - len(after)
    if zeros < bool(run) or (zeros and not run) or any(not group for group in (*before, *after)):
        return ""
    groups = [*before, *["0"] * zeros, *after]
    return ":".join(f"{int(group, 16):x}" for group in groups[:4]) + "::/64"


def _ipv4_text(raw: bytes) -> str:
    first, second, third, fourth = raw
    return f"{first}.{second}.{third}.{fourth}"


def _ipv6_text(groups: tuple[int, ...]) -> str:
    start, length = _longest_zero_run(groups)
    if length < _SHORTEST_RUN:
        return ":".join(map("%x".__mod__, groups))
    head = ":".join(map("%x".__mod__, groups[:start]))
    tail = ":".join(map("%x".__mod__, groups[start + length :]))
    return f"{head}::{tail}"


def _longest_zero_run(groups: tuple[int, ...]) -> tuple[int, int]:
    """Where RFC 5952 4.2.3 puts the `::`: the longest run, the first of equals."""
    best_start, best_length, length = 0, 0, 0
    for position, group in enumerate(groups):
        length = length + 1 if group == 0 else 0
        if length > best_length:
            best_start, best_length = position - length + 1, length
    return best_start, best_length
