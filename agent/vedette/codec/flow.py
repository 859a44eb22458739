"""Flows that a device may not be without, as its owner writes them: "in tcp 502 10.0.0.0/8".

Rule 1: DIRECTION PROTOCOL PORT [NETWORK], separated by spaces: `in` comes to a port of this device,
`out` goes from it to a port elsewhere, `forward` passes through it to a port elsewhere.
Rule 2: the network is where the other end is (of `forward`: the end that is asked); all without it.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, cast, get_args

from vedette.codec.address_sets import network_number
from vedette.errors import ParseError

Direction = Literal["in", "out", "forward"]
Transport = Literal["tcp", "udp"]

_EXPECTED = 'expected a flow such as "in tcp 502" or "out udp 123 192.0.2.0/24"'
_PARTS = (3, 4)
_MAX_PORT = 65535


class Network(NamedTuple):
    """A network; `address` is raw, and 0 beyond the prefix."""

    address: bytes
    prefix: int

    @property
    def mask(self) -> bytes:
        """As many bytes as the address, the prefix's bits set."""
        bits = len(self.address) * 8
        return ((1 << bits) - (1 << (bits - self.prefix))).to_bytes(len(self.address))


class Flow(NamedTuple):
    """One kind of connection; `network` is None for any other end."""

    direction: Direction
    transport: Transport
    port: int
    network: Network | None


def parse_flows(text: str) -> tuple[Flow, ...]:
    """Read flows separated by commas; none from an empty text.

    Raises:
        ParseError: one of them is no flow.
    """
    return tuple(parse_flow(part) for part in text.split(",") if part.strip())


def parse_flow(text: str) -> Flow:
    """Read one flow.

    Raises:
        ParseError: it is none; says which part is wrong.
    """
    parts = text.split()
    if len(parts) not in _PARTS:
        raise ParseError(f"{_EXPECTED}, got {text[:64]!a}")
    direction, transport, port, *network = parts
    if direction not in get_args(Direction) or transport not in get_args(Transport):
        raise ParseError(f"{_EXPECTED}, got {direction[:16]!a} {transport[:16]!a}")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= _MAX_PORT:
        raise ParseError(f"expected a port of 1 to {_MAX_PORT}, got {port[:16]!a}")
    return Flow(
        cast("Direction", direction),
        cast("Transport", transport),
        int(port),
        parse_network(network[0]) if network else None,
    )


def parse_network(text: str) -> Network:
    """Read an address or network; bits beyond the prefix are dropped.

    Raises:
        ParseError: it is neither.
    """
    bits, value, prefix = network_number(text)
    whole = value >> (bits - prefix) << (bits - prefix)
    return Network(whole.to_bytes(bits // 8), prefix)
