"""Cuts this device off the network, but for the uplink and the flows declared essential.

Rule 1: loopback stays, and what the uplink needs: its connection, names, addresses (DHCP), and what
IP itself needs (errors, IPv6 neighbours). All else is dropped, what is forwarded too.
Rule 2: flows that cannot be read make it refuse: nobody is to be cut off what they depend on.
Rule 3: connections are not ended: those that are declared go on, others hang until the release.
Not seen: frames that a bridge passes on below IP, and a local process that writes raw frames.
"""

from __future__ import annotations

from typing import ClassVar, Final

from vedette.codec.address_sets import address_number
from vedette.codec.flow import Network, parse_flows
from vedette.codec.nf_expressions import host_u32
from vedette.codec.nfnetlink import NFPROTO_IPV4, NFPROTO_IPV6
from vedette.errors import ParseError, ResponseError
from vedette.kernel.resolvers import resolvers
from vedette.model.response import (
    DeviceTarget,
    Order,
    Outcome,
    ResponseStatus,
    Target,
    UndoRecord,
)
from vedette.ports.responder import Responder, ResponderContext, UplinkPeer
from vedette.responses._held_table import HeldTable, Key
from vedette.responses._isolation_rules import NAME, Uplink, isolation

_ARMED: Final = tuple(("armed", bytes([family])) for family in (NFPROTO_IPV4, NFPROTO_IPV6))
_IPV4_BYTES: Final = 4


class Isolate(Responder):
    """Drops all traffic but the uplink's and what is declared.

    Options:
        allow: flows (codec/flow.py), separated by commas.
    """

    target_type: ClassVar[type[Target]] = DeviceTarget
    has_undo: ClassVar[bool] = True
    outlives_reboot: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[str]] = frozenset({"net_admin"})

    def __init__(self, context: ResponderContext) -> None:
        super().__init__(context)
        self._keys: dict[str, tuple[Key, ...]] = {}
        self._problem = ""
        try:
            self._table = _table(context)
        except ParseError as error:
            self._problem = f"[response.isolate] allow: {error}"
            self._table = HeldTable(isolation(None, ()), context.run_dir)

    def unavailable(self) -> str:
        """Lets the kernel check the table without making it."""
        return self._problem or self._table.unavailable()

    def plan(self, order: Order) -> UndoRecord:
        """Nothing has to be known for an undo: the table goes."""
        if not isinstance(order.target, DeviceTarget):
            raise ResponseError(f"expected the device, got a {type(order.target).__name__}")
        if self._problem:
            raise ResponseError(self._problem)
        return {"table": NAME}

    def act(self, order: Order, record: UndoRecord) -> Outcome:
        """Drop what is not allowed, from the next packet on."""
        del record
        if self._problem:
            return Outcome(ResponseStatus.REFUSED, self._problem, {})
        try:
            self._hold(order)
        except OSError as error:
            return Outcome(ResponseStatus.FAILED, self._table.reason(error), {})
        return Outcome(ResponseStatus.DONE, f"isolated, {self._open()}", {"open": self._open()})

    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        """Open the device again, unless another order isolates it too."""
        del record
        self._keys.pop(order.response_id, None)
        try:
            self._table.release(order.response_id)
        except OSError as error:
            return Outcome(ResponseStatus.FAILED, self._table.reason(error), {})
        return Outcome(ResponseStatus.UNDONE, "released", {})

    def leave(self, order: Order, record: UndoRecord) -> None:
        """Take the isolation out of the kernel: nobody would end it."""
        if self.undo(order, record).status is not ResponseStatus.UNDONE:
            raise ResponseError(f"nft table inet {NAME} could not be removed")

    def holds(self, order: Order, record: UndoRecord) -> bool:
        """Whether table, chains, rules and elements are as we made them; follows new resolvers."""
        del record
        if not self._table.holds(order.response_id):
            return False
        if self._keys.get(order.response_id) != _keys():
            try:
                self._hold(order)
            except OSError:
                return False
        return True

    def _hold(self, order: Order) -> None:
        keys = _keys()
        self._table.hold(order.response_id, keys, order.lasts_s)
        self._keys[order.response_id] = keys

    def _open(self) -> str:
        uplink_peer, allow = self.context.uplink_peer, self.context.options.get("allow", "")
        uplink = (
            f"the uplink to {uplink_peer.host} stays open" if uplink_peer else "without any uplink"
        )
        return f"{uplink}; declared: {allow or 'nothing'}"


def _table(context: ResponderContext) -> HeldTable:
    rules = isolation(
        _uplink(context.uplink_peer), parse_flows(str(context.options.get("allow", "")))
    )
    return HeldTable(rules, context.run_dir)


def _uplink(uplink_peer: UplinkPeer | None) -> Uplink | None:
    if uplink_peer is None:
        return None
    number = address_number(uplink_peer.host)
    address = None if number is None else Network(number.raw, number.bits)
    return Uplink(uplink_peer.uid, uplink_peer.port, address)


def _keys() -> tuple[Key, ...]:
    found = resolvers()
    servers = [
        ("resolvers4" if len(server) == _IPV4_BYTES else "resolvers6", server)
        for server in found.servers
    ]
    return (*_ARMED, *servers, *(("resolver_users", host_u32(uid)) for uid in found.uids))


responder_class = Isolate
