"""Conntrack's NEW events (linux/netfilter/nfnetlink_conntrack.h) as flows.

Rule 1: any bytes give flows or a ParseError.
Rule 2: TCP, UDP and whatever else has ports comes in one layout, which is read at fixed offsets
when its attribute headers are exactly those expected; everything else is walked.
Rule 3: addresses stay raw: what is dropped later costs no text.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from vedette.codec import netlink
from vedette.codec.nfnetlink import HEADER_BYTES as _NFGENMSG_BYTES
from vedette.codec.nfnetlink import NFNL_SUBSYS_CTNETLINK, Request
from vedette.errors import ParseError
from vedette.model.event import Protocol

IPCTNL_MSG_CT_NEW = 0
EVENT_NEW = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW
GROUP_NEW = 1  # NFNLGRP_CONNTRACK_NEW

AF_INET = 2
AF_INET6 = 10

_IPCTNL_MSG_CT_DELETE = 2
_IPCTNL_MSG_CT_GET_STATS = 5
_CTA_STATS_ENTRIES = 1  # CTA_STATS_GLOBAL_ENTRIES
_CTA_STATS_LIMIT = 2  # CTA_STATS_GLOBAL_MAX_ENTRIES
_CTA_TUPLE_ORIG = 1
_CTA_TUPLE_REPLY = 2
_CTA_TUPLE_IP = 1
_CTA_TUPLE_PROTO = 2
_CTA_IP_V4_SRC = 1
_CTA_IP_V4_DST = 2
_CTA_IP_V6_SRC = 3
_CTA_IP_V6_DST = 4
_CTA_FILTER = 25
_CTA_FILTER_ORIG_FLAGS = 1
_CTA_FILTER_REPLY_FLAGS = 2
_CTA_FILTER_SOURCE = 1 << 0  # CTA_FILTER_F_CTA_IP_SRC, internal to nf_conntrack_netlink.c
_CTA_FILTER_DESTINATION = 1 << 1
_CTA_PROTO_NUM = 1
_CTA_PROTO_SRC_PORT = 2
_CTA_PROTO_DST_PORT = 3

_PROTOCOLS: dict[int, Protocol] = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}
_PORT_BYTES = 2
_HEADER = Struct("=IHH")
_FLAGS = Struct("=I")
_NESTED = netlink.NLA_F_NESTED


class Fill(NamedTuple):
    """How full the table of connections is; when it is full the kernel drops packets."""

    entries: int
    limit: int


class Flow(NamedTuple):
    """A connection as conntrack first saw it; addresses are raw (4 or 16 bytes), ports 0 if none.

    `reply_source` is who answers: another than `destination` where addresses are translated.
    """

    protocol: Protocol
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    reply_source: bytes


def fill_request(sequence: int) -> bytes:
    """Ask how full the table is; also a way to ask whether there is conntrack netlink at all."""
    kind = NFNL_SUBSYS_CTNETLINK << 8 | _IPCTNL_MSG_CT_GET_STATS
    return netlink.pack(kind, netlink.NLM_F_REQUEST, sequence, bytes(_NFGENMSG_BYTES))


def forget_requests(peer: bytes) -> tuple[Request, ...]:
    """Have conntrack forget all connections with a peer, whoever began them or stands between.

    What was forgotten is translated and taken past the hooks (flowtables) no more. Kernels that
    cannot choose by one address alone refuse; none forgets others instead.

    Args:
        peer: raw address, 4 or 16 bytes.
    """
    is_ipv4 = len(peer) == 4  # noqa: PLR2004 (IPv4)
    family = AF_INET if is_ipv4 else AF_INET6
    source, destination = (
        (_CTA_IP_V4_SRC, _CTA_IP_V4_DST) if is_ipv4 else (_CTA_IP_V6_SRC, _CTA_IP_V6_DST)
    )
    ends = (
        (_CTA_TUPLE_ORIG, source, _CTA_FILTER_SOURCE),
        (_CTA_TUPLE_ORIG, destination, _CTA_FILTER_DESTINATION),
        (_CTA_TUPLE_REPLY, source, _CTA_FILTER_SOURCE),  # the destination was rewritten to it
    )
    return tuple(
        Request(_IPCTNL_MSG_CT_DELETE, netlink.NLM_F_ACK, _filtered(*end, peer), family)
        for end in ends
    )


def _filtered(which: int, address_type: int, flag: int, peer: bytes) -> bytes:
    nested = netlink.NLA_F_NESTED
    addresses = netlink.attribute(_CTA_TUPLE_IP | nested, netlink.attribute(address_type, peer))
    is_reply = which == _CTA_TUPLE_REPLY
    flags = b"".join(
        netlink.attribute(kind, _FLAGS.pack(flag if is_reply is is_of_reply else 0))
        for kind, is_of_reply in ((_CTA_FILTER_ORIG_FLAGS, False), (_CTA_FILTER_REPLY_FLAGS, True))
    )
    return netlink.attribute(which | nested, addresses) + netlink.attribute(
        _CTA_FILTER | nested, flags
    )


def parse_fill(payload: bytes) -> Fill:
    """Read the answer; what the kernel does not tell (the limit, before Linux 4.20) is 0.

    Raises:
        ParseError: its attributes are malformed.
    """
    parts = netlink.attributes(payload[_NFGENMSG_BYTES:])
    return Fill(
        int.from_bytes(parts.get(_CTA_STATS_ENTRIES, b"")[:4]),
        int.from_bytes(parts.get(_CTA_STATS_LIMIT, b"")[:4]),
    )


class _Layout:
    """How an event begins whose protocol has ports, for one address family.

    The kernel writes the original tuple first (addresses, then protocol and ports), then the
    reply's, each an attribute nest (ctnetlink_conntrack_event in nf_conntrack_netlink.c).
    """

    def __init__(self, address_bytes: int, source_type: int, destination_type: int) -> None:
        size = address_bytes
        attribute = 4 + size
        addresses = 4 + 2 * attribute
        whole = 4 + addresses + 28
        pack_tuple = Struct("=6H").pack
        pack_pair = Struct("=2H").pack
        inner = (addresses, _CTA_TUPLE_IP | _NESTED, attribute, source_type)
        self.unpack_from = Struct(f"=20x12s{size}s4s{size}s8sB3x4sBB2x4sBB2x12s{size}s").unpack_from
        self.headers = (
            pack_tuple(whole, _CTA_TUPLE_ORIG | _NESTED, *inner),
            pack_pair(attribute, destination_type),
            pack_pair(28, _CTA_TUPLE_PROTO | _NESTED) + pack_pair(5, _CTA_PROTO_NUM),
            pack_pair(6, _CTA_PROTO_SRC_PORT),
            pack_pair(6, _CTA_PROTO_DST_PORT),
            pack_tuple(whole, _CTA_TUPLE_REPLY | _NESTED, *inner),
        )
        self.size = 20 + whole + 12 + size


_LAYOUTS = {
    AF_INET: _Layout(4, _CTA_IP_V4_SRC, _CTA_IP_V4_DST),
    AF_INET6: _Layout(16, _CTA_IP_V6_SRC, _CTA_IP_V6_DST),
}


def parse_events(data: bytes) -> list[Flow]:
    """The flows of one datagram of the NEW group; other messages in it are passed over.

    Raises:
        ParseError: a length is wrong or a tuple lacks its addresses.
    """
    if len(data) > netlink.HEADER_BYTES + _NFGENMSG_BYTES:
        length, kind, _ = _HEADER.unpack_from(data)
        # The kernel sends each event alone; only then are the fixed offsets right.
        if length == len(data) and kind == EVENT_NEW:
            flow = _fast(data)
            if flow is not None:
                return [flow]
    return [_walk(m.payload) for m in netlink.messages(data) if m.type == EVENT_NEW]


def _fast(data: bytes) -> Flow | None:
    layout = _LAYOUTS.get(data[16])
    if layout is None or len(data) < layout.size:
        return None
    (
        original, source, to, destination, inner, number, source_header, source_high, source_low,
        destination_header, destination_high, destination_low, reply, reply_source,
    ) = layout.unpack_from(data)  # fmt: skip
    if (original, to, inner, source_header, destination_header, reply) != layout.headers:
        return None
    return Flow(
        _PROTOCOLS.get(number, "other"),
        source,
        source_high << 8 | source_low,
        destination,
        destination_high << 8 | destination_low,
        reply_source,
    )


def _walk(payload: bytes) -> Flow:
    tuples = netlink.attributes(payload[_NFGENMSG_BYTES:])
    if _CTA_TUPLE_ORIG not in tuples:
        raise ParseError("expected the original tuple in a conntrack event", _NFGENMSG_BYTES)
    original = netlink.attributes(tuples[_CTA_TUPLE_ORIG])
    source, destination = _addresses(original)
    reply = netlink.attributes(tuples.get(_CTA_TUPLE_REPLY, b""))
    reply_source = _addresses(reply)[0] if reply else destination
    parts = netlink.attributes(original.get(_CTA_TUPLE_PROTO, b""))
    number = parts.get(_CTA_PROTO_NUM, b"")
    return Flow(
        _PROTOCOLS.get(number[0], "other") if number else "other",
        source,
        int.from_bytes(parts.get(_CTA_PROTO_SRC_PORT, b"")[:_PORT_BYTES]),
        destination,
        int.from_bytes(parts.get(_CTA_PROTO_DST_PORT, b"")[:_PORT_BYTES]),
        reply_source,
    )


def _addresses(parts: dict[int, bytes]) -> tuple[bytes, bytes]:
    found = netlink.attributes(parts.get(_CTA_TUPLE_IP, b""))
    for source_type, destination_type, size in (
        (_CTA_IP_V4_SRC, _CTA_IP_V4_DST, 4),
        (_CTA_IP_V6_SRC, _CTA_IP_V6_DST, 16),
    ):
        source, destination = found.get(source_type, b""), found.get(destination_type, b"")
        if len(source) == size == len(destination):
            return source, destination
    raise ParseError("expected two addresses of one family in a conntrack tuple")
