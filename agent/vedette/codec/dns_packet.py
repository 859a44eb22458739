"""IP packets that may carry DNS, down to the message.

Rule 1: any bytes give a DnsPacket, None (nothing of DNS in it) or a ParseError.
Rule 2: TCP is read segment by segment and never put together again: of a message that spans
segments the first part is given, in which the answers may be whole.
"""

from __future__ import annotations

from typing import NamedTuple

from vedette.errors import ParseError

_TCP = 6  # RFC 9293
_UDP = 17
_IPV4 = 4
_IPV4_HEADER_BYTES = 20  # RFC 791 3.1, without options
_IPV6 = 6
_IPV6_HEADER_BYTES = 40  # RFC 8200 3
_UDP_HEADER_BYTES = 8
_TCP_LENGTH_BYTES = 2


class DnsPacket(NamedTuple):
    """One DNS message and its way; addresses are raw, 4 or 16 bytes."""

    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    message: bytes


def parse_packet(data: bytes) -> DnsPacket | None:
    """Read a packet that begins with its IP header.

    Returns:
        The message with its endpoints, or None for a TCP segment without content.

    Raises:
        ParseError: neither IPv4 nor IPv6, neither UDP nor TCP, or cut.
    """
    try:
        return _packet(data)
    except IndexError as error:
        raise ParseError("expected more bytes, the packet is cut", len(data)) from error


def _packet(data: bytes) -> DnsPacket | None:
    version = data[0] >> 4
    if version == _IPV4:
        start, end, protocol = (data[0] & 15) * 4, data[2] << 8 | data[3], data[9]
        source, destination = data[12:16], data[16:20]
    elif version == _IPV6:
        start, protocol = _IPV6_HEADER_BYTES, data[6]
        end = start + (data[4] << 8 | data[5])
        source, destination = data[8:24], data[24:40]
    else:
        raise ParseError(f"expected IP version 4 or 6, got {version}")
    if start < _IPV4_HEADER_BYTES:
        raise ParseError(f"expected an IP header of at least 20 bytes, got {start}")
    ports = (data[start] << 8 | data[start + 1], data[start + 2] << 8 | data[start + 3])
    message = _message(data, start, end, protocol)
    if message is None:
        return None
    return DnsPacket(source, ports[0], destination, ports[1], message)


def _message(data: bytes, start: int, end: int, protocol: int) -> bytes | None:
    if end > len(data):
        raise ParseError(f"expected {end} bytes of packet, got {len(data)}", len(data))
    if protocol == _UDP:
        return data[start + _UDP_HEADER_BYTES : end]
    if protocol == _TCP:
        content = data[start + (data[start + 12] >> 4) * 4 : end]
        # RFC 1035 4.2.2: a length of two bytes comes first, and may travel alone.
        return content[_TCP_LENGTH_BYTES:] if len(content) > _TCP_LENGTH_BYTES else None
    raise ParseError(f"expected UDP or TCP, got protocol {protocol}", start)
