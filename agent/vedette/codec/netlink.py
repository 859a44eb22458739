"""Netlink's framing (RFC 3549, netlink(7)): messages, attributes and acknowledgements.

Rule 1: everything is in host byte order, as the kernel of the same machine writes it.
Rule 2: lengths come from outside: each is checked against what is there before it is used.
Rule 3: audit records carry a wrong nlmsg_len (codec/audit.py) and are not read with `messages`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from vedette.errors import ParseError

NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4
"""linux/netlink.h: control messages; a family's own types begin at 16."""

NLM_F_REQUEST = 0x1
NLM_F_MULTI = 0x2
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800

NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF
"""linux/netlink.h: the two upper bits say nested and network byte order."""

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")
HEADER_BYTES = _HEADER.size
MAX_ATTRIBUTE_PAYLOAD = 0xFFFF - _ATTRIBUTE.size
MAX_ERRNO = 4095
"""linux/err.h: no error number is above it."""


class Message(NamedTuple):
    """One netlink message; `port` is the receiver's or sender's, 0 for the kernel."""

    type: int
    flags: int
    sequence: int
    port: int
    payload: bytes


# `type` is netlink's own word for it and part of what the callers of this layer agreed on.
def pack(type: int, flags: int, seq: int, payload: bytes, port: int = 0) -> bytes:  # noqa: A002
    """Frame one message, padded to 4 bytes so that another may follow."""
    length = HEADER_BYTES + len(payload)
    return _HEADER.pack(length, type, flags, seq, port) + payload + bytes(-length % 4)


def messages(data: bytes | bytearray | memoryview) -> Iterator[Message]:
    """Take a datagram apart.

    Args:
        data: one datagram, as received.

    Yields:
        Each message; its payload is a copy.

    Raises:
        ParseError: a length leaves the datagram or is below the header's.
    """
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < HEADER_BYTES:
            raise ParseError(
                f"netlink message: expected a header of {HEADER_BYTES} bytes, "
                f"got {end - offset} bytes",
                offset,
            )
        length, kind, flags, sequence, port = _HEADER.unpack_from(data, offset)
        if not HEADER_BYTES <= length <= end - offset:
            raise ParseError(
                f"netlink message: expected a length of {HEADER_BYTES} to {end - offset}, "
                f"got {length}",
                offset,
            )
        payload = bytes(data[offset + HEADER_BYTES : offset + length])
        yield Message(kind, flags, sequence, port, payload)
        # The last message may lack its padding.
        offset += length + (-length % 4)


def attribute(type: int, payload: bytes) -> bytes:  # noqa: A002
    """Frame one attribute, padded to 4 bytes.

    Args:
        type: with NLA_F_NESTED where the payload is attributes again.
        payload: up to MAX_ATTRIBUTE_PAYLOAD bytes.

    Raises:
        ValueError: the payload does not fit into 16 bits of length.
    """
    if len(payload) > MAX_ATTRIBUTE_PAYLOAD:
        raise ValueError(
            f"netlink attribute {type}: expected at most {MAX_ATTRIBUTE_PAYLOAD} bytes, "
            f"got {len(payload)}"
        )
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, type) + payload + bytes(-length % 4)


def attribute_list(data: bytes | bytearray | memoryview) -> Iterator[tuple[int, bytes]]:
    """Take attributes apart in their order, repeated ones too.

    Yields:
        (type without the flag bits, payload).

    Raises:
        ParseError: a length leaves `data` or is below the attribute header's.
    """
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < _ATTRIBUTE.size:
            # Some families end on an unpadded last attribute's padding; only zeros are that.
            if not any(data[offset:]):
                return
            raise ParseError(
                f"netlink attribute: expected a header of {_ATTRIBUTE.size} bytes, "
                f"got {end - offset} bytes",
                offset,
            )
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if not _ATTRIBUTE.size <= length <= end - offset:
            raise ParseError(
                f"netlink attribute: expected a length of {_ATTRIBUTE.size} to {end - offset}, "
                f"got {length}",
                offset,
            )
        yield kind & NLA_TYPE_MASK, bytes(data[offset + _ATTRIBUTE.size : offset + length])
        offset += length + (-length % 4)


def attributes(data: bytes | bytearray | memoryview) -> dict[int, bytes]:
    """Take attributes apart; of a repeated type the last one counts, as in the kernel's parser.

    Raises:
        ParseError: as `attribute_list`.
    """
    return dict(attribute_list(data))


def error_number(payload: bytes) -> int:
    """Read an NLMSG_ERROR payload (struct nlmsgerr).

    Returns:
        0 for an acknowledgement, else the positive errno.

    Raises:
        ParseError: it is too short, or its code is no negated errno.
    """
    if len(payload) < _ERROR.size:
        raise ParseError(
            f"nlmsgerr: expected at least {_ERROR.size} bytes, got {len(payload)} bytes",
            len(payload),
        )
    code: int = _ERROR.unpack_from(payload)[0]
    if not -MAX_ERRNO <= code <= 0:
        raise ParseError(f"nlmsgerr: expected a code of -{MAX_ERRNO} to 0, got {code}")
    return -code
