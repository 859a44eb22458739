"""Names of addresses, taken from DNS answers to queries that this host sent.

Rule 1: an answer counts only if a query with the same client, server, port, id, name and type left
this host in the last 10 s and was not answered yet; everything else is counted and ignored.
Rule 2: an address is given the asked name, also at the end of a chain of aliases; records of
other names in the same answer are ignored.
Rule 3: what a router passes on for others (a query that came in with the same server, id and name)
is not a query of this host.
Rule 4: all memory is bounded; what had to be forgotten is a loss.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Hashable, Mapping, Sequence

from vedette.codec.dns import TYPE_CNAME, DnsMessage, parse_message
from vedette.codec.dns_packet import DnsPacket, parse_packet
from vedette.errors import ParseError
from vedette.model.event import Event, EventClass, EventsLost, NameQueried, NameResolved

TIER = "dns"

ANSWER_WITHIN_S = 10.0
"""How long a query waits: resolvers give up after 5 s and ask again."""

ECHO_WITHIN_S = 2.0
"""The same name again within this time is one look-up: stub resolver, bridge, retransmission."""

MAX_REMEMBERED = 1024
"""Of each kind (asked, forwarded, said): 100 new names a second for 10 s; 0.7 MB when all are full
of names of usual length."""

PACKETS_PER_READ = 64
"""Then the loop goes on with other work: at 20 µs each this is about a millisecond."""

_DNS_PORT = 53
_SNAP_BYTES = 4096
_SOL_PACKET = 263  # linux/socket.h
_PACKET_STATISTICS = 6  # linux/if_packet.h
_PACKET_OUTGOING = 4
_STATISTICS = struct.Struct("=II")


class _Recent:
    """Keys seen lately; forgets by age and, when full, the oldest."""

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._seen_at_s: dict[Hashable, float] = {}
        self.evicted = 0

    def add(self, key: Hashable, at_s: float) -> bool:
        """Remember a key from now on; False if it was remembered already."""
        is_new = not self.take(key, at_s)
        if len(self._seen_at_s) >= MAX_REMEMBERED:
            del self._seen_at_s[next(iter(self._seen_at_s))]
            self.evicted += 1
        self._seen_at_s[key] = at_s
        return is_new

    def has(self, key: Hashable, at_s: float) -> bool:
        """Whether a key is remembered."""
        self._forget(at_s)
        return key in self._seen_at_s

    def take(self, key: Hashable, at_s: float) -> bool:
        """Forget a key; whether it was remembered."""
        self._forget(at_s)
        return self._seen_at_s.pop(key, None) is not None

    def _forget(self, at_s: float) -> None:
        while self._seen_at_s:
            oldest = next(iter(self._seen_at_s))
            if at_s - self._seen_at_s[oldest] < self._within_s:
                return
            del self._seen_at_s[oldest]


class NameMatcher:
    """Decides what each packet says about names; time is an argument, so that it can be replayed.

    Attributes:
        counts: what became of the packets: "queries", "answers", "forwarded", "unasked" (answers
            to nothing this host asked), "unreadable", and "missed" (an answer to our own query
            that could not be read).
    """

    def __init__(self) -> None:
        self.counts = dict.fromkeys(
            ("queries", "answers", "forwarded", "unasked", "unreadable", "missed"), 0
        )
        self._pending = _Recent(ANSWER_WITHIN_S)
        self._ids = _Recent(ANSWER_WITHIN_S)
        self._forwarded = _Recent(ANSWER_WITHIN_S)
        self._said = _Recent(ECHO_WITHIN_S)

    @property
    def forgotten(self) -> int:
        """Queries of this host whose answer can no longer be recognised, for want of memory."""
        return self._pending.evicted

    def take(self, data: bytes, at_s: float, *, is_outgoing: bool) -> list[Event]:
        """What one packet says, from its IP header on.

        Args:
            data: the packet, as the opener's filter lets it pass.
            at_s: CLOCK_BOOTTIME seconds, never decreasing.
            is_outgoing: whether it left this host.
        """
        packet: DnsPacket | None = None
        try:
            packet = parse_packet(data)
            if packet is None:
                return []
            message = parse_message(packet.message)
        except ParseError:
            self._count_unreadable(packet, at_s, is_outgoing=is_outgoing)
            return []
        if is_outgoing:
            return [] if message.is_answer else self._asked(packet, message, at_s)
        if message.is_answer:
            return self._answered(packet, message, at_s)
        if packet.destination_port == _DNS_PORT:
            self._forwarded.add((packet.destination, message.message_id, message.name), at_s)
        return []

    def _asked(self, packet: DnsPacket, message: DnsMessage, at_s: float) -> list[Event]:
        if self._forwarded.has((packet.destination, message.message_id, message.name), at_s):
            self.counts["forwarded"] += 1
            return []
        self.counts["queries"] += 1
        way = (packet.source, packet.source_port, packet.destination, message.message_id)
        self._ids.add(way, at_s)
        self._pending.add((*way, message.name, message.query_type), at_s)
        if not self._said.add((message.name, message.query_type), at_s):
            return []
        return [NameQueried(at_s, TIER, message.name, message.query_type)]

    def _answered(self, packet: DnsPacket, message: DnsMessage, at_s: float) -> list[Event]:
        way = (packet.destination, packet.destination_port, packet.source, message.message_id)
        if packet.source_port != _DNS_PORT or not self._pending.take(
            (*way, message.name, message.query_type), at_s
        ):
            self.counts["unasked"] += 1
            return []
        self.counts["answers"] += 1
        return [
            NameResolved(at_s, TIER, message.name, address, ttl_s)
            for address, ttl_s in _addresses(message)
            if self._said.add((message.name, address), at_s)
        ]

    def _count_unreadable(
        self, packet: DnsPacket | None, at_s: float, *, is_outgoing: bool
    ) -> None:
        """Garbage from anywhere is only counted; an answer that we waited for is missed."""
        self.counts["unreadable"] += 1
        if packet is None or is_outgoing:
            return
        message_id = int.from_bytes(packet.message[:2])
        way = (packet.destination, packet.destination_port, packet.source, message_id)
        self.counts["missed"] += self._ids.has(way, at_s)


class DnsWatch:
    """Reads the socket that dns_opener made and emits names; holds no privilege and no loop."""

    def __init__(self, fd: int, emit: Callable[[Sequence[Event]], None]) -> None:
        """Take over a descriptor of dns_opener.

        Args:
            fd: of a non-blocking packet socket, closed by `close`.
            emit: takes each batch of events, synchronously.
        """
        self._socket = socket.socket(fileno=fd)
        self._emit = emit
        self._matcher = NameMatcher()
        self._reported = 0
        self._dropped = 0

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def read(self) -> None:
        """Read what is waiting, at most PACKETS_PER_READ packets; call it when readable."""
        at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        batch: list[Event] = []
        for _ in range(PACKETS_PER_READ):
            try:
                data, address = self._socket.recvfrom(_SNAP_BYTES)
            except OSError:
                # Nothing waits, or an interface went down (ENETDOWN) with its packets.
                break
            is_outgoing = address[2] == _PACKET_OUTGOING
            batch += self._matcher.take(data, at_s, is_outgoing=is_outgoing)
        if batch:
            self._emit(batch)

    def losses(self) -> EventsLost | None:
        """What was lost since the last call, or None; ask at least every minute."""
        raw = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        # The kernel counts from the last look on.
        self._dropped += _STATISTICS.unpack(raw)[1]
        total = self._dropped + self._matcher.forgotten + self._matcher.counts["missed"]
        lost, self._reported = total - self._reported, total
        if not lost:
            return None
        return EventsLost(
            time.clock_gettime(time.CLOCK_BOOTTIME),
            TIER,
            EventClass.NETWORK,
            "dns",
            lost,
            is_exact=False,
            reason="DNS packets came faster than they were read, or an answer was unreadable",
        )

    def counters(self) -> Mapping[str, int]:
        """What became of the packets, and how many the kernel dropped."""
        return {**self._matcher.counts, "dropped": self._dropped + self._matcher.forgotten}

    def close(self) -> None:
        """Close the descriptor; safe to call twice."""
        self._socket.close()


def _addresses(message: DnsMessage) -> list[tuple[str, int]]:
    """Addresses of the asked name with their time to live, aliases followed in the order given.

    Servers put an alias before what it stands for (RFC 1034 3.6.2); one that does not is believed
    less, never more.
    """
    names = {message.name}
    found = []
    for record in message.records:
        if record.owner not in names:
            continue
        if record.record_type == TYPE_CNAME:
            names.add(record.value)
        else:
            found.append((record.value, record.ttl_s))
    return found
