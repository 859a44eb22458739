"""Looks for sockets that began to accept connections or datagrams; runs beside the network tier.

Rule 1: sockets that are there at the first look are known, not new.
Rule 2: the kernel gives no notice of a new listener below eBPF, so it is a look every PERIOD_S:
sock_diag for listening sockets only, /proc/net where the kernel lacks sock_diag.
Rule 3: an unconnected UDP socket on a port that the kernel hands out is a client's more often than
a service's: it is told when it is still there at the second look.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from vedette.codec import sock_diag
from vedette.codec.addresses import address_text
from vedette.errors import ParseError, SensorError
from vedette.kernel.ticks import next_tick_s
from vedette.model.event import Event, EventClass, EventsLost, ListenerOpened, Protocol
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors import _probe
from vedette.sensors._owners import OwnerFinder
from vedette.sensors._polled_sockets import PolledSockets
from vedette.sensors._probe import Endpoint

NAME: Final = "listeners"

PERIOD_S: Final = 5.0
"""A fifth of a wake-up a second; a service stays for longer."""

EPHEMERAL_PORTS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")

_KINDS: tuple[tuple[Protocol, int], ...] = (
    ("tcp", 1 << sock_diag.TCP_LISTEN),
    ("udp", 1 << sock_diag.TCP_CLOSE),
)


class _Listener(NamedTuple):
    protocol: Protocol
    address: bytes
    port: int
    uid: int
    inode: int


class ListenersSensor(Sensor):
    """New listening sockets, with their process where it can be read."""

    tiers: ClassVar[tuple[Tier, ...]] = (
        Tier(
            event_class=EventClass.NETWORK,
            name=NAME,
            rank=10,
            sees=f"sockets that began to listen, at a look every {PERIOD_S:g} s",
            misses=("listeners that come and go between two looks",),
            lift=("kernel: CONFIG_INET_DIAG and CONFIG_INET_UDP_DIAG, or CONFIG_PROC_FS",),
        ),
    )
    is_companion: ClassVar[bool] = True

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self._sockets: PolledSockets | None = None
        self._known: frozenset[_Listener] = frozenset()
        self._doubtful: frozenset[_Listener] = frozenset()
        self._ephemeral = range(0)
        self._timer: asyncio.TimerHandle | None = None
        self._owners = OwnerFinder()
        self._probe: Endpoint | None = None
        self._counts = dict.fromkeys(("in", "out", "dropped"), 0)

    def counters(self) -> Mapping[str, int]:
        """Listeners seen at all looks, told, looks that failed, and how owners were found."""
        return {**self._counts, **self._owners.counts}

    def standing(self) -> list[ListenerOpened]:
        """What listens now, with its owners: also what was there before this sensor.

        A socket that may be a client's (rule 3) is left out.

        Raises:
            OSError, ParseError: the kernel did not tell.
        """
        found = [one for one in self._listeners() if not self._may_be_client(one)]
        return self._events(sorted(found), time.clock_gettime(time.CLOCK_BOOTTIME))

    async def _open(self) -> None:
        self._ephemeral = _ephemeral_ports()
        self._sockets = PolledSockets()
        try:
            self._known = frozenset(self._listeners())
        except ParseError as error:
            raise SensorError(f"listeners: {error}") from error
        self._schedule()

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(next_tick_s(loop.time(), PERIOD_S), self._look_again)

    def _look_again(self) -> None:
        self._schedule()
        self._look()

    def _look(self) -> None:
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        try:
            current = frozenset(self._listeners())
        except (OSError, ParseError) as error:
            self._counts["dropped"] += 1
            reason = f"listening sockets were unreadable: {error}"
            self._hand_on([EventsLost(at_s, NAME, EventClass.NETWORK, "sensor", 0, False, reason)])
            return
        self._counts["in"] += len(current)
        new = current - self._known
        doubtful = frozenset(listener for listener in new if self._may_be_client(listener))
        self._known = current - (doubtful - self._doubtful)
        self._doubtful = doubtful
        self._hand_on(self._events(sorted(new & self._known), at_s))

    def _may_be_client(self, listener: _Listener) -> bool:
        return listener.protocol == "udp" and listener.port in self._ephemeral

    def _listeners(self) -> Iterator[_Listener]:
        if self._sockets is None:
            return
        for protocol, states in _KINDS:
            for record in self._sockets.records(protocol, states):
                listener = _Listener(
                    protocol, record.local, record.local_port, record.uid, record.inode
                )
                if (record.local, record.local_port) == self._probe:
                    self._proved()
                elif record.local_port and not record.remote_port:
                    yield listener

    def _events(self, listeners: Sequence[_Listener], at_s: float) -> list[ListenerOpened]:
        pids = self._owners.find((listener.inode for listener in listeners), at_s)
        events = [
            ListenerOpened(
                at_s,
                NAME,
                listener.protocol,
                address_text(listener.address),
                listener.port,
                pids.get(listener.inode, 0),
                listener.uid,
            )
            for listener in listeners
        ]
        # A process with one socket for each of its threads (SO_REUSEPORT) is one listener.
        return list(dict.fromkeys(events))

    def _hand_on(self, batch: Sequence[Event]) -> None:
        self._counts["out"] += len(batch)
        self.emit(batch)

    async def _provoke(self, token: str) -> None:
        self._probe = _probe.endpoint_of(token)
        async with _probe.listening(self._probe):
            self._look()

    def _is_proof(self, event: Event, token: str) -> bool:
        del event, token
        return False  # seen in _listeners: the probe never becomes an event

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._sockets is not None:
            self._sockets.close()


def _ephemeral_ports() -> range:
    try:
        first, last = EPHEMERAL_PORTS.read_text(encoding="ascii").split()
        return range(int(first), int(last) + 1)
    except (OSError, ValueError):
        return range(32_768, 61_000)  # the kernel's default


sensor_class = ListenersSensor
