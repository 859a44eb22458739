"""Blocks another host: nothing from it or to it passes, and its live connections end.

Rule 1: the table `inet vedette_block` drops before connection tracking whatever has the address as
source or destination, what this device forwards included; on the way out it looks once more, since
a destination may have been rewritten.
Rule 2: first the block, then the cut: a connection that was ended cannot come back in between. The
peer is not told, its reset is dropped like all else.
Rule 3: connection tracking forgets the peer: what it remembers may be translated, or taken past
the rules by a flowtable, for as long as it does.
Rule 4: addresses that are nobody's peer, and this device's own, are refused here as well.
Not seen: frames that a bridge passes on below IP, and a local process that writes raw frames.
"""

from __future__ import annotations

from typing import ClassVar

from vedette.codec import nf_expressions as nft
from vedette.codec import nf_tables, nfnetlink
from vedette.codec.address_sets import address_number
from vedette.codec.addresses import is_loopback
from vedette.errors import ResponseError
from vedette.kernel import sockets, tracked_flows
from vedette.kernel.addresses import addresses_of_host
from vedette.kernel.netlink_talk import NETLINK_ROUTE, NetlinkTalk
from vedette.model.response import (
    Order,
    Outcome,
    PeerTarget,
    ResponseStatus,
    Target,
    UndoRecord,
)
from vedette.ports.responder import Responder, ResponderContext
from vedette.responses._held_table import HeldTable, Key

NAME = "vedette_block"
MOST = 4096
"""Addresses held at once; the core's budgets are far below it."""

_BEFORE_TRACKING = -310
"""NF_IP_PRI_RAW is -300, conntrack -200: a dropped packet costs no entry of its table."""
_IPV4_SOURCE, _IPV4_DESTINATION = 12, 16  # RFC 791 3.1
_IPV6_SOURCE, _IPV6_DESTINATION = 8, 24  # RFC 8200 3
_MULTICAST_IPV4 = range(224, 256)  # with what is reserved and broadcast, RFC 6890
_MULTICAST_IPV6 = 0xFF
_IPV4_BYTES = 4


def _drop(family: int, offset: int, size: int, set_name: str) -> bytes:
    return (
        nft.meta(nft.META_FAMILY)
        + nft.compare(bytes([family]))
        + nft.payload(nft.NETWORK_HEADER, offset, size)
        + nft.is_in(set_name)
        + nft.verdict(nft.DROP)
    )


_TO = (
    _drop(nfnetlink.NFPROTO_IPV4, _IPV4_DESTINATION, 4, "peers4"),
    _drop(nfnetlink.NFPROTO_IPV6, _IPV6_DESTINATION, 16, "peers6"),
)
_FROM = (
    _drop(nfnetlink.NFPROTO_IPV4, _IPV4_SOURCE, 4, "peers4"),
    _drop(nfnetlink.NFPROTO_IPV6, _IPV6_SOURCE, 16, "peers6"),
)
TABLE = nf_tables.Table(
    NAME,
    (
        nf_tables.Chain("arriving", nf_tables.PREROUTING, _BEFORE_TRACKING, _FROM + _TO),
        nf_tables.Chain("leaving", nf_tables.POSTROUTING, _BEFORE_TRACKING, _TO),
    ),
    (
        nf_tables.Set("peers4", (nf_tables.KEY_IPV4,), 4, MOST),
        nf_tables.Set("peers6", (nf_tables.KEY_IPV6,), 16, MOST),
    ),
)


class BlockPeer(Responder):
    """Drops all packets from and to an address, and ends its connections with this device."""

    target_type: ClassVar[type[Target]] = PeerTarget
    has_undo: ClassVar[bool] = True
    is_urgent: ClassVar[bool] = True
    outlives_reboot: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[str]] = frozenset({"net_admin"})

    def __init__(self, context: ResponderContext) -> None:
        super().__init__(context)
        self._table = HeldTable(TABLE, context.run_dir)

    def unavailable(self) -> str:
        """Lets the kernel check the table without making it."""
        return self._table.unavailable()

    def plan(self, order: Order) -> UndoRecord:
        """The address is all that an undo needs."""
        target = order.target
        if not isinstance(target, PeerTarget):
            raise ResponseError(f"expected a peer, got a {type(target).__name__}")
        _checked(target.address)
        return {"address": target.address}

    def act(self, order: Order, record: UndoRecord) -> Outcome:
        """Block, then cut."""
        address = str(record["address"])
        try:
            raw = _checked(address)
        except ResponseError as error:
            return Outcome(ResponseStatus.REFUSED, str(error), {})
        try:
            self._table.hold(order.response_id, [_key(raw)], order.lasts_s)
        except OSError as error:
            return Outcome(ResponseStatus.FAILED, self._table.reason(error), {})
        return _blocked(address, sockets.cut(raw), tracked_flows.forget(raw))

    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        """Let it pass again, unless another order blocks it too."""
        address = str(record["address"])
        try:
            self._table.release(order.response_id)
        except OSError as error:
            return Outcome(ResponseStatus.FAILED, self._table.reason(error), {})
        return Outcome(ResponseStatus.UNDONE, f"{address} may pass again", {"address": address})

    def leave(self, order: Order, record: UndoRecord) -> None:
        """Take the block out of the kernel: nobody would end it."""
        if self.undo(order, record).status is not ResponseStatus.UNDONE:
            raise ResponseError(f"nft table inet {NAME} could not be removed")

    def holds(self, order: Order, record: UndoRecord) -> bool:
        """Whether the address is in its set, and table, chains and rules are as we made them."""
        del record
        return self._table.holds(order.response_id)


def _blocked(address: str, cut: sockets.Cut, kept: str) -> Outcome:
    facts: dict[str, str | int] = {"address": address, "connections_cut": cut.ended}
    if kept:
        facts["tracking"] = kept
    said = f"{address} is blocked both ways, {cut.ended} connections were cut"
    if cut.problem:
        return Outcome(ResponseStatus.PARTLY, f"{said}; others live on: {cut.problem}", facts)
    return Outcome(ResponseStatus.DONE, said, facts)


def _checked(address: str) -> bytes:
    """The raw address, of a host that may be blocked.

    Raises:
        ResponseError: it is no address, nobody's peer, or this device's own.
    """
    number = address_number(address)
    if number is None:
        raise ResponseError(f"expected an IPv4 or IPv6 address, got {address[:64]!a}")
    raw = number.raw
    if _is_nobody(raw):
        raise ResponseError(f"{address} is loopback, multicast or unspecified: nobody's address")
    if raw in _own_addresses():
        raise ResponseError(f"{address} is this device's own address")
    return raw


def _is_nobody(raw: bytes) -> bool:
    if len(raw) == _IPV4_BYTES:
        return raw[0] == 0 or raw[0] in _MULTICAST_IPV4 or is_loopback(raw)
    return not any(raw) or raw[0] == _MULTICAST_IPV6 or is_loopback(raw)


def _own_addresses() -> frozenset[bytes]:
    try:
        talk = NetlinkTalk(NETLINK_ROUTE)
        try:
            return addresses_of_host(talk)
        finally:
            talk.close()
    except OSError as error:
        # In doubt nothing is done: it could be our own.
        raise ResponseError(f"cannot ask for this device's addresses: {error.strerror}") from error


def _key(raw: bytes) -> Key:
    return ("peers4" if len(raw) == _IPV4_BYTES else "peers6"), raw


responder_class = BlockPeer
