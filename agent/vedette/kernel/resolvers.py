"""Who resolves names here: the servers of resolv.conf, and a resolver on this device itself."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vedette.codec import host_network, sock_diag
from vedette.codec.address_sets import address_number
from vedette.codec.addresses import is_loopback
from vedette.codec.sock_diag import SocketRecord
from vedette.kernel.netlink_talk import NETLINK_SOCK_DIAG, NetlinkTalk
from vedette.kernel.sockets import dump

RESOLV_CONF = Path("/etc/resolv.conf")
MAX_SERVERS = 8
"""glibc asks three; more in the file are no reason to open more."""
_MAX_BYTES = 1 << 16
_DNS_PORT = 53
_FAMILIES = (2, 10)
_UNCONNECTED = 1 << sock_diag.TCP_CLOSE


class Resolvers(NamedTuple):
    """Where names are asked for.

    Attributes:
        servers: raw addresses beyond this device.
        uids: users of resolvers that run on this device and are asked by others of it.
    """

    servers: tuple[bytes, ...]
    uids: tuple[int, ...]


def resolvers() -> Resolvers:
    """As they are now; what cannot be read is none."""
    try:
        with RESOLV_CONF.open("rb") as stream:
            text = stream.read(_MAX_BYTES)
    except OSError:
        text = b""
    numbers = [address_number(server) for server in host_network.servers(text)]
    named = [number.raw for number in numbers if number is not None][:MAX_SERVERS]
    servers = tuple(server for server in dict.fromkeys(named) if not is_loopback(server))
    return Resolvers(servers, _users_on_loopback() if len(servers) < len(named) else ())


def _users_on_loopback() -> tuple[int, ...]:
    """Who has port 53 of a loopback address, or of all addresses."""
    found: set[int] = set()
    try:
        talk = NetlinkTalk(NETLINK_SOCK_DIAG)
    except OSError:
        return ()
    try:
        for family in _FAMILIES:
            for record in dump(talk, family, sock_diag.IPPROTO_UDP, _UNCONNECTED):
                if _answers_here(record):
                    found.add(record.uid)
    except OSError:
        pass  # this kernel lacks a family: what was found counts
    finally:
        talk.close()
    return tuple(sorted(found))


def _answers_here(record: SocketRecord) -> bool:
    is_here = is_loopback(record.local) or not any(record.local)
    return record.local_port == _DNS_PORT and is_here
