"""Sets of IP addresses and networks from their text, without the megabyte of `ipaddress`.

Rule: an IPv4-mapped IPv6 address is the IPv4 address (RFC 4291 2.5.5.2), as events carry it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from vedette.errors import ParseError

_IPV4_BITS, _IPV6_BITS = 32, 128
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
_GROUP = re.compile(r"[0-9a-fA-F]{1,4}")
_GROUPS = 8
_MAPPED = 0xFFFF << _IPV4_BITS


class AddressNumber(NamedTuple):
    """An address as a number of 32 or 128 bits."""

    bits: int
    value: int

    @property
    def raw(self) -> bytes:
        """The address in network order, 4 or 16 bytes."""
        return self.value.to_bytes(self.bits // 8)


class NetworkNumber(NamedTuple):
    """A network as a number; bits of `value` beyond the prefix may be set."""

    bits: int
    value: int
    prefix: int


class AddressSet:
    """Addresses and networks.

    Args:
        texts: such as "10.0.0.0/8", "192.0.2.7", "fe80::/10".

    Raises:
        ParseError: one of them is neither.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._by_prefix: dict[tuple[int, int], set[int]] = {}
        for text in texts:
            bits, value, prefix = network_number(text)
            self._by_prefix.setdefault((bits, prefix), set()).add(value >> (bits - prefix))

    def __contains__(self, address: object) -> bool:
        number = address_number(address) if isinstance(address, str) else None
        if number is None:
            return False
        return any(
            bits == number.bits and number.value >> (bits - prefix) in networks
            for (bits, prefix), networks in self._by_prefix.items()
        )


def address_number(text: str) -> AddressNumber | None:
    """The number of an address, None for what is none; zones (`%eth0`) are none."""
    if _IPV4.fullmatch(text):
        value = 0
        for part in text.split("."):
            value = value << 8 | int(part)
        return AddressNumber(_IPV4_BITS, value)
    return _ipv6_number(text) if ":" in text else None


def network_number(text: str) -> NetworkNumber:
    """The number of an address or network.

    Raises:
        ParseError: it is neither.
    """
    address, slash, length = text.partition("/")
    number = address_number(address)
    if number is None:
        raise ParseError(f"expected an address or network such as 10.0.0.0/8, got {text[:64]!a}")
    if not slash:
        return NetworkNumber(*number, number.bits)
    if not re.fullmatch(r"[0-9]{1,3}", length) or int(length) > number.bits:
        raise ParseError(f"expected a prefix of 0 to {number.bits} bits, got {text[:64]!a}")
    return NetworkNumber(*number, int(length))


def _ipv6_number(text: str) -> AddressNumber | None:
    head, run, tail = text.partition("::")
    before = _groups(head, may_end_dotted=not run)
    after = _groups(tail, may_end_dotted=True)
    if before is None or after is None:
        return None
    missing = _GROUPS - len(before) - len(after)
    if missing < 1 if run else missing:
        return None
    value = 0
    for group in (*before, *[0] * missing, *after):
        value = value << 16 | group
    if value >> _IPV4_BITS == _MAPPED >> _IPV4_BITS:
        return AddressNumber(_IPV4_BITS, value & (1 << _IPV4_BITS) - 1)
    return AddressNumber(_IPV6_BITS, value)


def _groups(text: str, *, may_end_dotted: bool) -> list[int] | None:
    """The 16-bit groups of one side of a "::"; those that end an address may end as IPv4."""
    found: list[int] = []
    parts = text.split(":") if text else []
    for position, part in enumerate(parts):
        if _GROUP.fullmatch(part):
            found.append(int(part, 16))
        elif may_end_dotted and position == len(parts) - 1 and _IPV4.fullmatch(part):
            high, low, *rest = (int(number) for number in part.split("."))
            found += [high << 8 | low, rest[0] << 8 | rest[1]]
        else:
            return None
    return found
