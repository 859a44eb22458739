"""Connections that are open now, and which of them were never reported.

Rule 1: asked only when events were lost or this host got another address, never on a timer.
Rule 2: memory is bounded; a connection older than the last MAX_REMEMBERED ones and opened after the
last look may be told a second time, never missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vedette.codec import sock_diag
from vedette.codec.addresses import is_loopback
from vedette.codec.conntrack import AF_INET, AF_INET6
from vedette.codec.sock_diag import SocketRecord
from vedette.kernel.netlink_talk import NetlinkTalk
from vedette.kernel.sockets import dump
from vedette.model.event import Protocol

MAX_REMEMBERED = 4_096
"""Hashes of connections told lately: 0.4 MB, and some seconds of a busy device."""

_TCP_OPEN = sock_diag.ALL_STATES & ~(1 << sock_diag.TCP_LISTEN | 1 << sock_diag.TCP_CLOSE)
_UDP_CONNECTED = 1 << sock_diag.TCP_ESTABLISHED
_DUMPS: tuple[tuple[Protocol, int, int], ...] = (
    ("tcp", sock_diag.IPPROTO_TCP, _TCP_OPEN),
    ("udp", sock_diag.IPPROTO_UDP, _UDP_CONNECTED),
)


class Connection(NamedTuple):
    """An open connection, seen from the end that began it as far as that can be told."""

    protocol: Protocol
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    is_initiated: bool
    uid: int
    inode: int

    @property
    def ends(self) -> tuple[bytes, int, bytes, int]:
        """Address and port of who began it, then those of the other end."""
        return self[1:5]


class Connections:
    """Remembers what was told, and finds what was not."""

    def __init__(self, talk: NetlinkTalk) -> None:
        self._talk = talk
        self._told: dict[int, None] = {}
        self._before = frozenset(map(_key, self._open()))

    def told(self, protocol: str, source: bytes, port: int, to: bytes, to_port: int) -> None:
        """Remember that a connection was reported."""
        self._told[hash((protocol, source, port, to, to_port))] = None
        if len(self._told) > MAX_REMEMBERED:
            del self._told[next(iter(self._told))]

    def untold(self) -> list[Connection]:
        """Open connections that were never reported; from now on they count as reported."""
        found = list(self._open())
        new = [c for c in found if _key(c) not in self._before and _key(c) not in self._told]
        self._before = frozenset(map(_key, found))
        return new

    def _open(self) -> Iterator[Connection]:
        for protocol, number, states in _DUMPS:
            for family in (AF_INET, AF_INET6):
                listening = self._listening(family, number)
                for record in dump(self._talk, family, number, states):
                    connection = connection_of(protocol, record, listening)
                    if connection is not None:
                        yield connection

    def _listening(self, family: int, number: int) -> frozenset[int]:
        if number != sock_diag.IPPROTO_TCP:
            return frozenset()
        records = dump(self._talk, family, number, 1 << sock_diag.TCP_LISTEN)
        return frozenset(record.local_port for record in records)


def connection_of(
    protocol: Protocol, record: SocketRecord, listening: frozenset[int]
) -> Connection | None:
    """The connection a socket belongs to, or None where it has none or the other end tells it.

    Args:
        protocol: of the socket.
        record: the socket.
        listening: ports on which this host accepts connections: such an end did not begin them.
    """
    if not record.remote_port:
        return None
    local = (record.local, record.local_port)
    remote = (record.remote, record.remote_port)
    # A socket in TIME_WAIT has no owner any more, and its uid is printed as 0.
    owner = (record.uid if record.inode else -1, record.inode)
    if record.local_port not in listening:
        return Connection(protocol, *local, *remote, True, *owner)
    if record.local == record.remote or is_loopback(record.remote):
        return None
    return Connection(protocol, *remote, *local, False, *owner)


def _key(connection: Connection) -> int:
    return hash(connection[:5])
