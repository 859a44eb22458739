"""Nfnetlink's frames (linux/netfilter/nfnetlink.h), which nf_tables and conntrack share.

Rule 1: a batch is carried out wholly or not at all.
Rule 2: a batch without its end is only checked: the kernel says what it would refuse, and changes
nothing (net/netfilter/nfnetlink.c, nfnetlink_rcv_batch).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vedette.codec import netlink
from vedette.codec.netlink import NLM_F_ACK, NLM_F_REQUEST
from vedette.errors import ParseError

NFNL_SUBSYS_CTNETLINK = 1
NFNL_SUBSYS_NFTABLES = 10

NFPROTO_UNSPEC = 0
NFPROTO_INET = 1
"""linux/netfilter.h: the family of tables that see IPv4 and IPv6."""
NFPROTO_IPV4 = 2
NFPROTO_IPV6 = 10

HEADER_BYTES = 4
"""Of struct nfgenmsg, before the attributes."""

_NFNL_MSG_BATCH_BEGIN = 16
_NFNL_MSG_BATCH_END = 17


class Request(NamedTuple):
    """One message of a subsystem.

    Attributes:
        kind: within its subsystem.
        flags: beside NLM_F_REQUEST, such as NLM_F_CREATE.
        attributes: framed (netlink.attribute).
        family: an NFPROTO_.
    """

    kind: int
    flags: int
    attributes: bytes
    family: int = NFPROTO_INET


class Batch(NamedTuple):
    """Bytes ready to send, and how many acknowledgements or refusals they bring."""

    data: bytes
    acknowledgements: int


def batch(
    subsystem: int, requests: Sequence[Request], *, sequence: int, is_trial: bool = False
) -> Batch:
    """Frame requests that belong together; each is acknowledged.

    Args:
        subsystem: an NFNL_SUBSYS_.
        requests: in the order in which the kernel takes them.
        sequence: of all of them; comes back in the acknowledgements.
        is_trial: let the kernel check them only.
    """
    frame = _header(NFPROTO_UNSPEC, subsystem)
    parts = [netlink.pack(_NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, sequence, frame)]
    parts += [_pack(subsystem, request, NLM_F_ACK, sequence) for request in requests]
    if not is_trial:
        parts.append(netlink.pack(_NFNL_MSG_BATCH_END, NLM_F_REQUEST, sequence, frame))
    return Batch(b"".join(parts), len(requests))


def message(subsystem: int, request: Request, *, sequence: int) -> bytes:
    """Frame one request that stands alone, such as a question."""
    return _pack(subsystem, request, 0, sequence)


def attributes(payload: bytes) -> dict[int, bytes]:
    """The attributes of a message behind its struct nfgenmsg.

    Raises:
        ParseError: it is cut, or its attributes are malformed.
    """
    if len(payload) < HEADER_BYTES:
        raise ParseError(
            f"nfnetlink: expected a header of {HEADER_BYTES} bytes, got {len(payload)}",
            len(payload),
        )
    return netlink.attributes(payload[HEADER_BYTES:])


def _pack(subsystem: int, request: Request, more_flags: int, sequence: int) -> bytes:
    return netlink.pack(
        subsystem << 8 | request.kind,
        NLM_F_REQUEST | more_flags | request.flags,
        sequence,
        _header(request.family, 0) + request.attributes,
    )


def _header(family: int, resource: int) -> bytes:
    """Struct nfgenmsg; the resource is in network order."""
    return bytes((family, 0)) + resource.to_bytes(2)
