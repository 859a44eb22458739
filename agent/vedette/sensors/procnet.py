"""Polls the kernel's sockets for connections: the tier that needs neither root nor an option.

Rule 1: what is open at the first look is known, not new.
Rule 2: the end that began a connection is told by its port: one on which this host listens did not.
Rule 3: a connection that this host closed first stays in sight for a minute (TIME_WAIT), without
its owner.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from vedette.codec import sock_diag
from vedette.codec.addresses import address_text
from vedette.errors import ParseError, SensorError
from vedette.model.event import ConnectionOpened, Event, EventClass, EventsLost, Protocol
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors import _probe
from vedette.sensors._connections import Connection, connection_of
from vedette.sensors._owners import OwnerFinder
from vedette.sensors._polled_sockets import PolledSockets
from vedette.sensors._probe import Endpoint

NAME: Final = "procnet"

PERIOD_S: Final = 2.0
"""Sees with its owner half of what lives a second and all that lives two, for half a wake-up a
second."""

_KINDS: tuple[tuple[Protocol, int], ...] = (
    ("tcp", sock_diag.ALL_STATES & ~(1 << sock_diag.TCP_CLOSE)),
    ("udp", 1 << sock_diag.TCP_ESTABLISHED),
)


class ProcnetSensor(Sensor):
    """Connections that are open, or closed lately, when it looks."""

    tiers: ClassVar[tuple[Tier, ...]] = (
        Tier(
            event_class=EventClass.NETWORK,
            name=NAME,
            rank=20,
            sees=f"connections open at a look every {PERIOD_S:g} s",
            misses=(
                "connections that begin and end between two looks, unless this host closed first",
                "the process of what is closed already, and of other users' sockets without root",
                "datagrams sent from unconnected sockets",
                "whom of those that connect to this host to block: a handshake may be unfinished",
            ),
            lift=("kernel: CONFIG_INET, and CONFIG_INET_DIAG or CONFIG_PROC_FS",),
        ),
    )

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self._sockets: PolledSockets | None = None
        self._known: frozenset[Connection] = frozenset()
        self._timer: asyncio.TimerHandle | None = None
        self._owners = OwnerFinder()
        self._probe: Endpoint | None = None
        self._counts = dict.fromkeys(("in", "out", "dropped"), 0)

    def counters(self) -> Mapping[str, int]:
        """Sockets read, connections told, looks that failed, and how owners were found."""
        return {**self._counts, **self._owners.counts}

    async def _open(self) -> None:
        self._sockets = PolledSockets()
        try:
            self._known = frozenset(map(_identity, self._connections()))
        except ParseError as error:
            raise SensorError(f"procnet: {error}") from error
        self._schedule()

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._look_again)

    def _look_again(self) -> None:
        self._schedule()
        self._look()

    def _look(self) -> None:
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        try:
            connections = self._connections()
        except (OSError, ParseError) as error:
            self._counts["dropped"] += 1
            reason = f"sockets were unreadable: {error}"
            self._hand_on([EventsLost(at_s, NAME, EventClass.NETWORK, "sensor", 0, False, reason)])
            return
        new = [c for c in connections if _identity(c) not in self._known and not self._is_probe(c)]
        self._known = frozenset(map(_identity, connections))
        self._hand_on(self._events(new, at_s))

    def _connections(self) -> list[Connection]:
        found: list[Connection] = []
        if self._sockets is None:
            return found
        for protocol, states in _KINDS:
            records = list(self._sockets.records(protocol, states))
            self._counts["in"] += len(records)
            listening = frozenset(r.local_port for r in records if r.state == sock_diag.TCP_LISTEN)
            for record in records:
                connection = connection_of(protocol, record, listening)
                if connection is not None and record.state != sock_diag.TCP_LISTEN:
                    found.append(connection)
        return found

    def _is_probe(self, connection: Connection) -> bool:
        """Both ends of our own probe: one is the proof, neither becomes an event."""
        source = (connection.source, connection.source_port)
        destination = (connection.destination, connection.destination_port)
        if self._probe is None or self._probe not in (source, destination):
            return False
        self._proved()
        return True

    def _events(self, connections: Sequence[Connection], at_s: float) -> list[Event]:
        pids = self._owners.find((connection.inode for connection in connections), at_s)
        return [
            ConnectionOpened(
                at_s,
                NAME,
                connection.protocol,
                connection.is_initiated,
                address_text(connection.source),
                connection.source_port,
                address_text(connection.destination),
                connection.destination_port,
                pids.get(connection.inode, 0),
                connection.uid,
            )
            for connection in connections
        ]

    def _hand_on(self, batch: Sequence[Event]) -> None:
        self._counts["out"] += len(batch)
        self.emit(batch)

    async def _provoke(self, token: str) -> None:
        self._probe = _probe.endpoint_of(token)
        await _probe.connect("tcp", self._probe)
        self._look()

    def _is_proof(self, event: Event, token: str) -> bool:
        del event, token
        return False  # seen in _is_probe: the probe never becomes an event

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._sockets is not None:
            self._sockets.close()


def _identity(connection: Connection) -> Connection:
    """The connection without what changes while it closes."""
    return connection._replace(uid=-1, inode=0)


sensor_class = ProcnetSensor
