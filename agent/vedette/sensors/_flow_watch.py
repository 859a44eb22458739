"""Turns conntrack's NEW events into connections with owners.

Rule 1: read at once: the owner of a connection is asked while it lives.
Rule 2: a buffer that overflowed (ENOBUFS) is EventsLost, and what is still open is asked for.
Rule 3: what only passes through this host and the sensor's own probe become no events.
Rule 4: where the kernel tells who began a connection (_tcp_states.py), that goes before the owner
of its socket, which is searched in /proc; it is asked again for what was still beginning.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from vedette.codec import bpf, conntrack
from vedette.codec.addresses import address_text
from vedette.codec.conntrack import Flow
from vedette.codec.conntrack_filter import own_flows
from vedette.errors import ParseError
from vedette.kernel.netlink_talk import NETLINK_NETFILTER, NETLINK_SOCK_DIAG, NetlinkTalk
from vedette.model.event import ConnectionOpened, Event, EventClass, EventsLost
from vedette.sensors._connections import Connection, Connections
from vedette.sensors._host_addresses import HostAddresses
from vedette.sensors._owners import OwnerFinder
from vedette.sensors._probe import Endpoint
from vedette.sensors._sockets import socket_of

if TYPE_CHECKING:
    from vedette.sensors._handshakes import Handshakes
    from vedette.sensors._tcp_states import TcpStates

NAME: Final = "conntrack"

RECEIVE_BUFFER_BYTES: Final = 8 << 20
"""An event takes 1,280 bytes of it: 6,500 events, a third of a second of the fastest storm."""

READS_PER_TURN: Final = 128
"""Then the loop goes on with other work: 1 to 5 ms."""

ASKED_PER_TURN: Final = 64
"""Sockets asked for in one turn; in a storm the rest has no owner, and is counted."""

RESYNC_AFTER_S: Final = 1.0
"""A storm overflows many times: what is left of it is asked for once."""

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h
_SOL_NETLINK = 270  # linux/socket.h
_NETLINK_ADD_MEMBERSHIP = 1  # linux/netlink.h
_RECEIVE_BYTES = 8192


class FlowWatch:
    """Reads events as long as its stack is open.

    Attributes:
        probe: the endpoint of the proof under way: seeing it calls `proved`.
        on_many_flows: called after each `many_flows` flows.
        stateless: why the kernel does not tell of the states of TCP, "" where it does.
    """

    def __init__(
        self, emit: Callable[[Sequence[Event]], None], proved: Callable[[], None], stack: ExitStack
    ) -> None:
        """Open everything; `stack` closes it.

        Raises:
            OSError: the kernel lacks a netlink family, or does not allow it.
        """
        self._emit = emit
        self._proved = proved
        self.probe: Endpoint | None = None
        self.on_many_flows: Callable[[], None] = lambda: None
        self.many_flows = READS_PER_TURN
        self._flows_since = 0
        self._counts = dict.fromkeys(
            ("in", "out", "dropped", "overflows", "forwarded", "unasked", "unfiltered"), 0
        )
        self._owners = OwnerFinder()
        self.stateless = ""
        self._handshakes: Handshakes | None = None
        self._states = self._open_states(stack)
        self._diag = NetlinkTalk(NETLINK_SOCK_DIAG)
        stack.callback(self._diag.close)
        self._addresses = HostAddresses(self._addresses_changed)
        stack.callback(self._addresses.close)
        self._connections = Connections(self._diag)
        self._socket = _event_socket()
        stack.callback(self._socket.close)
        self._filter()
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, conntrack.GROUP_NEW)
        self._resync_timer: asyncio.TimerHandle | None = None
        asyncio.get_running_loop().add_reader(self._socket, self._readable)
        stack.callback(self._stop)

    def counters(self) -> Mapping[str, int]:
        """Flows and what became of them, and the counts of TCP's states and the owner search."""
        told = {} if self._states is None else self._states.counters()
        return {**self._counts, **self._owners.counts, **told}

    def hand_on(self, batch: Sequence[Event]) -> None:
        """Count and emit a batch."""
        self._counts["out"] += len(batch)
        if batch:
            self._emit(batch)

    def _stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        if self._resync_timer is not None:
            self._resync_timer.cancel()

    def _open_states(self, stack: ExitStack) -> TcpStates | None:
        # Late: rule 5 of ports/sensor.py.
        from vedette.sensors._handshakes import Handshakes  # noqa: PLC0415
        from vedette.sensors._tcp_states import TcpStates  # noqa: PLC0415

        try:
            states = TcpStates()
        except (OSError, ParseError, ValueError) as error:
            self.stateless = str(error)
            return None
        stack.callback(states.close)
        self._handshakes = Handshakes(states, self.hand_on)
        stack.callback(self._handshakes.close)
        return states

    def _filter(self) -> None:
        """Have the kernel drop what is not ours; where it refuses, `_ours` does that."""
        program = own_flows(self._addresses.current, sys.byteorder)
        steps = array("B", bpf.assemble(program))
        try:
            self._socket.setsockopt(
                socket.SOL_SOCKET, bpf.SO_ATTACH_FILTER, bpf.program_option(steps)
            )
        except OSError:
            self._counts["unfiltered"] += 1

    def _readable(self) -> None:
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        flows: list[Flow] = []
        losses: list[Event] = []
        for _ in range(READS_PER_TURN):
            try:
                flows += conntrack.parse_events(self._socket.recv(_RECEIVE_BYTES))
            except BlockingIOError:
                break
            except ParseError as error:
                self._counts["dropped"] += 1
                losses.append(_loss(at_s, "sensor", 1, f"conntrack wrote {error}"))
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    self._overflowed(at_s, losses)
                    continue
                # The next proof fails, and the class falls to the next tier.
                asyncio.get_running_loop().remove_reader(self._socket)
                losses.append(_loss(at_s, "sensor", 0, f"reading conntrack events: {error}"))
                break
        self._counts["in"] += len(flows)
        self.hand_on([*losses, *self._events(self._ours(flows), at_s)])
        self._flows_since += len(flows)
        if self._flows_since >= self.many_flows:
            self._flows_since = 0
            self.on_many_flows()

    def _overflowed(self, at_s: float, losses: list[Event]) -> None:
        """One loss for a storm, not one for each time its waves overflow."""
        self._counts["overflows"] += 1
        if self._resync_timer is None:
            losses.append(_loss(at_s, "kernel", 0, "conntrack's socket buffer was full"))
            self._resync_later(RESYNC_AFTER_S)

    def _ours(self, flows: Sequence[Flow]) -> list[Flow]:
        has = self._addresses.has
        ours = []
        for flow in flows:
            if (flow.destination, flow.destination_port) == self.probe:
                self._proved()
            elif has(flow.source) or has(flow.reply_source):
                ours.append(flow)
            else:
                self._counts["forwarded"] += 1
        return ours

    def _events(self, flows: Sequence[Flow], at_s: float) -> list[ConnectionOpened]:
        """The connections of flows, in their order; one owner search serves all."""
        connections = [
            self._connection(flow, is_asked=number < ASKED_PER_TURN)
            for number, flow in enumerate(flows)
        ]
        self._counts["unasked"] += max(0, len(flows) - ASKED_PER_TURN)
        return self._opened(connections, at_s)

    def _connection(self, flow: Flow, *, is_asked: bool) -> Connection:
        self._connections.told(*flow[:5])
        is_initiated = self._addresses.has(flow.source)
        record = None
        if is_asked:
            record = socket_of(self._diag, flow, is_initiated=is_initiated)
        uid, inode = (-1, 0) if record is None else (record.uid, record.inode)
        return Connection(*flow[:5], is_initiated, uid, inode)

    def _opened(self, connections: Sequence[Connection], at_s: float) -> list[ConnectionOpened]:
        pids = self._begun_by(connections)
        left = [one for one in connections if one not in pids]
        by_inode = self._owners.find((one.inode for one in left), at_s)
        pids |= {one: by_inode[one.inode] for one in left if one.inode in by_inode}
        pids |= self._begun_by([one for one in left if one not in pids])
        events = [
            ConnectionOpened(
                at_s,
                NAME,
                connection.protocol,
                connection.is_initiated,
                address_text(connection.source),
                connection.source_port,
                address_text(connection.destination),
                connection.destination_port,
                pids.get(connection, 0),
                connection.uid,
            )
            for connection in connections
        ]
        if self._handshakes is None:
            return events
        ends = (connection.ends for connection in connections)
        return self._handshakes.take(list(zip(ends, events, strict=True)))

    def _begun_by(self, connections: Sequence[Connection]) -> dict[Connection, int]:
        """Who began these, as far as the kernel told by now."""
        began = [one for one in connections if one.is_initiated and one.protocol == "tcp"]
        if self._states is None or not began:
            return {}
        self._states.look()
        return {one: pid for one in began if (pid := self._states.begun_by(one.ends))}

    def _addresses_changed(self) -> None:
        self._filter()
        # What began at a new address before the filter knew it is found by asking, if it lives.
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        reason = "this host's addresses changed: flows of a new one's first moments may be missing"
        self.hand_on([_loss(at_s, "kernel", 0, reason)])
        self._resync_later(0)

    def _resync_later(self, delay_s: float) -> None:
        if self._resync_timer is None:
            loop = asyncio.get_running_loop()
            self._resync_timer = loop.call_later(delay_s, self._resync)

    def _resync(self) -> None:
        """Report what is open and was never told: its event was lost."""
        self._resync_timer = None
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        try:
            untold = self._connections.untold()
        except OSError as error:
            self.hand_on([_loss(at_s, "sensor", 0, f"open connections cannot be read: {error}")])
            return
        self.hand_on(self._opened(untold, at_s))


def _event_socket() -> socket.socket:
    opened = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_NETFILTER
    )
    opened.bind((0, 0))
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    return opened


def _loss(at_s: float, stage: str, lost: int, reason: str) -> EventsLost:
    return EventsLost(at_s, NAME, EventClass.NETWORK, stage, lost, lost > 0, reason)
