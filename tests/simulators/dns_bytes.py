"""DNS messages and packets as bytes, built field by field (RFC 1035, 791, 768, 8200)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

ASKED = b"\xc0\x0c"
A, CNAME, AAAA = 1, 5, 28


def wire_name(name: str) -> bytes:
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def query(name: str, *, message_id: int = 7, query_type: int = A) -> bytes:
    header = struct.pack(">HHHHHH", message_id, 0x0100, 1, 0, 0, 0)
    return header + wire_name(name) + struct.pack(">HH", query_type, 1)


def record(owner: bytes, record_type: int, data: bytes, *, ttl_s: int = 60) -> bytes:
    return owner + struct.pack(">HHIH", record_type, 1, ttl_s, len(data)) + data


def address_record(name: str, address: str, *, ttl_s: int = 60) -> bytes:
    packed = ipaddress.ip_address(address).packed
    kind = A if len(packed) == 4 else AAAA
    return record(wire_name(name), kind, packed, ttl_s=ttl_s)


def cname_record(name: str, target: str) -> bytes:
    return record(wire_name(name), CNAME, wire_name(target))


def answer(
    name: str, records: Sequence[bytes], *, message_id: int = 7, query_type: int = A
) -> bytes:
    header = struct.pack(">HHHHHH", message_id, 0x8180, 1, len(records), 0, 0)
    question = wire_name(name) + struct.pack(">HH", query_type, 1)
    return header + question + b"".join(records)


def udp(source: tuple[str, int], destination: tuple[str, int], content: bytes) -> bytes:
    """An IPv4 or IPv6 packet from its IP header on; checksums are left zero."""
    raw_source = ipaddress.ip_address(source[0]).packed
    raw_destination = ipaddress.ip_address(destination[0]).packed
    datagram = struct.pack(">HHHH", source[1], destination[1], 8 + len(content), 0) + content
    return ip(17, raw_source, raw_destination, datagram)


def tcp(source: tuple[str, int], destination: tuple[str, int], content: bytes) -> bytes:
    raw_source = ipaddress.ip_address(source[0]).packed
    raw_destination = ipaddress.ip_address(destination[0]).packed
    header = struct.pack(">HHIIBBHHH", source[1], destination[1], 1, 1, 5 << 4, 0x18, 512, 0, 0)
    return ip(6, raw_source, raw_destination, header + content)


def ip(protocol: int, source: bytes, destination: bytes, content: bytes) -> bytes:
    if len(source) == 4:
        size = 20 + len(content)
        return (
            struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0, 64, protocol, 0)
            + source
            + destination
            + content
        )
    return (
        struct.pack(">IHBB", 6 << 28, len(content), protocol, 64) + source + destination + content
    )
