"""DNS packets and messages, whatever the network sends."""

from __future__ import annotations

import contextlib

from vedette.codec.dns import MAX_RECORDS, parse_message
from vedette.codec.dns_packet import parse_packet
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes give a value or a ParseError; names and records stay bounded."""
    with contextlib.suppress(ParseError):
        packet = parse_packet(data)
        if packet is not None:
            check(packet.message)
    with contextlib.suppress(ParseError):
        check(data)


def check(data: bytes) -> None:
    message = parse_message(data)
    assert len(message.records) <= MAX_RECORDS
    assert len(message.name) <= 2 * 255
