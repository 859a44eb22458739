"""Sees every connection this host makes or accepts, as conntrack's NEW events, with its owner.

Rule 1: conntrack sees nothing until a rule asks for it; ours is the nft table `vedette`, removed at
close and, after SIGKILL, by the kernel or `restore`.
Rule 2: flows that a router forwards are filtered in the kernel (codec/conntrack_filter.py).
Rule 3: the table of connections never fills through us: above FULL_PERCENT our rule is taken out,
because a full table makes the kernel drop packets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, Final

from vedette.codec import conntrack
from vedette.errors import ParseError, SensorError
from vedette.kernel.netlink_talk import NETLINK_NETFILTER, NetlinkTalk
from vedette.model.event import Event, EventClass, EventsLost
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors import _conntrack_table, _flow_watch, _probe
from vedette.sensors._conntrack_table import ConntrackTable

NAME: Final = "conntrack"

FILL_PERIOD_S: Final = 10.0
FULL_PERCENT: Final = 80
EASED_PERCENT: Final = 50

_EVENTS_SWITCH = Path("/proc/sys/net/netfilter/nf_conntrack_events")


class ConntrackSensor(Sensor):
    """Connections as the kernel's packet filter first sees them."""

    tiers: ClassVar[tuple[Tier, ...]] = (
        Tier(
            event_class=EventClass.NETWORK,
            name=NAME,
            rank=80,
            sees="every connection from and to this host, with the process where it began here by "
            "TCP, or lives 1 ms",
            misses=(
                "what a router forwards, and containers with a network of their own",
                "broadcast and multicast received",
                "whom to block of those whose connection is sent to another port or address here",
                "raw sockets that bypass the IP layer (AF_PACKET)",
            ),
            lift=(
                "kernel: CONFIG_NF_CONNTRACK, CONFIG_NF_CT_NETLINK, CONFIG_NF_CONNTRACK_EVENTS",
                "kernel: CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET, CONFIG_NFT_CT",
                "kernel: CONFIG_INET_DIAG and CONFIG_INET_UDP_DIAG (for owners)",
                "kernel: CONFIG_PERF_EVENTS and CONFIG_EVENT_TRACING (for who began a connection)",
                "tracefs mounted at /sys/kernel/tracing",
                "capabilities: CAP_NET_ADMIN; for owners CAP_SYS_PTRACE, CAP_PERFMON (run as root)",
            ),
        ),
    )
    capabilities: ClassVar[frozenset[str]] = frozenset({"net_admin", "perfmon", "sys_ptrace"})

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self._opened = ExitStack()
        self._watch: _flow_watch.FlowWatch | None = None
        self._guard: _FillGuard | None = None
        self._table: ConntrackTable | None = None

    def counters(self) -> Mapping[str, int]:
        """Flows and what became of them; "owner_found" of "owner_sought" is the hit rate."""
        return {} if self._watch is None else self._watch.counters()

    def blind_spots(self, event_class: EventClass) -> tuple[str, ...]:
        """What cannot be known where the kernel does not tell of the states of TCP."""
        del event_class
        if self._watch is None or not self._watch.stateless:
            return ()
        return tuple(
            f"{missed}: {self._watch.stateless}"
            for missed in (
                "the process of most connections that close at once",
                "whom of those that connect to this host to block, as a first packet can be forged",
            )
        )

    @classmethod
    def restore(cls, run_dir: Path) -> list[str]:
        """Remove the nft table of an instance that was killed."""
        return _conntrack_table.restore(run_dir)

    async def taken_away(self) -> str:
        """Whether our table was removed or changed; one that we took out ourselves was not."""
        table = self._table
        if table is None or not table.stands or table.is_intact():
            return ""
        return f"nft table inet {_conntrack_table.NAME} was removed or changed"

    async def _open(self) -> None:
        control = NetlinkTalk(NETLINK_NETFILTER)
        self._opened.callback(control.close)
        _check_events_are_on(control)
        self._watch = _flow_watch.FlowWatch(self.emit, self._proved, self._opened)
        table = self._table = ConntrackTable(self.context.run_dir)
        self._opened.callback(table.close)
        table.make()
        self._guard = _FillGuard(control, table, self._watch)
        self._opened.callback(self._guard.close)

    async def _provoke(self, token: str) -> None:
        if self._watch is None:
            raise SensorError("conntrack: expected to be open before a proof")
        self._watch.probe = _probe.endpoint_of(token)
        await _probe.connect("udp", self._watch.probe)

    def _is_proof(self, event: Event, token: str) -> bool:
        del event, token
        return False  # the watch sees the probe before it is an event

    async def _close(self) -> None:
        self._opened.close()


class _FillGuard:
    """Looks how full the kernel's table is, and gives room before it drops packets.

    Flows of this host are counted, so that a storm is noticed early; what only passes through is
    noticed by the timer.
    """

    def __init__(
        self, control: NetlinkTalk, table: ConntrackTable, watch: _flow_watch.FlowWatch
    ) -> None:
        self._control = control
        self._table = table
        self._watch = watch
        self._timer: asyncio.TimerHandle | None = None
        watch.on_many_flows = self.look
        self.look()

    def look(self) -> None:
        """Look now, and again in FILL_PERIOD_S."""
        self.close()
        self._timer = asyncio.get_running_loop().call_later(FILL_PERIOD_S, self.look)
        try:
            payload = self._control.one(conntrack.fill_request)
            fill = conntrack.parse_fill(payload or b"")
        except (OSError, ParseError):
            return  # an old kernel that does not count: nothing to go by
        if fill.limit:
            self._watch.many_flows = fill.limit // 16
            self.give_room(100 * fill.entries // fill.limit)

    def give_room(self, percent: int) -> None:
        """Take our rule out of a table that is so full, or put it back."""
        try:
            if self._table.stands and percent >= FULL_PERCENT:
                self._table.remove()
                self._watch.hand_on([_stepped_back(percent)])
            elif not self._table.stands and percent <= EASED_PERCENT:
                self._table.make()
        except (OSError, SensorError):
            return  # tried again at the next look; the proof tells whether we still see

    def close(self) -> None:
        """Look no more. Safe to call twice."""
        if self._timer is not None:
            self._timer.cancel()


def _stepped_back(percent: int) -> EventsLost:
    at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    reason = f"the kernel's connection table was {percent} % full: our nft rule was taken out"
    return EventsLost(at_s, NAME, EventClass.NETWORK, "kernel", 0, is_exact=False, reason=reason)


def _check_events_are_on(control: NetlinkTalk) -> None:
    try:
        control.one(conntrack.fill_request)
    except OSError as error:
        raise SensorError(
            f"conntrack: the kernel does not answer about connections: {error.strerror}; "
            "it needs CONFIG_NF_CT_NETLINK and CAP_NET_ADMIN"
        ) from error
    try:
        switch = _EVENTS_SWITCH.read_text(encoding="ascii").strip()
    except OSError:
        return  # nf_conntrack is not loaded yet, or tells no settings; the proof decides
    if switch == "0":
        raise SensorError(
            "conntrack: expected net.netfilter.nf_conntrack_events to be 1 or 2, got 0; "
            "set it to 2 with sysctl"
        )


sensor_class = ConntrackSensor
