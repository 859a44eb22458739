"""The kernel's list of sockets (sock_diag(7), linux/inet_diag.h): who owns an endpoint.

Rule 1: requests are whole netlink messages, ready to send; replies are read from their payload.
Rule 2: any bytes give a SocketRecord or a ParseError.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from vedette.codec import netlink
from vedette.errors import ParseError

SOCK_DIAG_BY_FAMILY = 20
SOCK_DESTROY = 21
IPPROTO_TCP = 6
IPPROTO_UDP = 17

# include/net/tcp_states.h; unconnected UDP sockets are in state CLOSE
TCP_ESTABLISHED = 1
TCP_CLOSE = 7
TCP_LISTEN = 10
ALL_STATES = 0xFFF

_REQUEST = Struct("=BBBxI")
_REPLY = Struct("=BB2x4s16s16s12xIIIII")
_ADDRESS_BYTES = {2: 4, 10: 16}
_NO_COOKIE = b"\xff" * 8
_ANY_INTERFACE = bytes(4)
_REPLY_ID = slice(4, 52)
"""Struct inet_diag_sockid of a reply: ports, addresses, interface and cookie."""

_INET_DIAG_REQ_BYTECODE = 1
_INET_DIAG_BC_D_COND = 8
_CONDITION_OP = Struct("=BBH")
_CONDITION = Struct("=BBxxi")
_ANY_PORT = -1


class SocketRecord(NamedTuple):
    """One socket; addresses are raw, `inode` is 0 where no process owns it any more."""

    family: int
    state: int
    local: bytes
    local_port: int
    remote: bytes
    remote_port: int
    uid: int
    inode: int


def exact_request(
    protocol: int, local: bytes, local_port: int, remote: bytes, remote_port: int, *, sequence: int
) -> bytes:
    """Ask for the one socket between two endpoints.

    TCP falls back to the listener on the local port, UDP to the best match, as for a packet.

    Args:
        protocol: IPPROTO_TCP or IPPROTO_UDP.
        local: raw address, 4 or 16 bytes; decides the family.
        local_port: 0 to 65535.
        remote: raw address of the same family.
        remote_port: 0 to 65535.
        sequence: comes back in the reply.
    """
    family = 2 if len(local) == _ADDRESS_BYTES[2] else 10
    if protocol == IPPROTO_UDP:
        # udp_dump_one in net/ipv4/udp_diag.c: "src and dst are swapped for historical reasons".
        local, local_port, remote, remote_port = remote, remote_port, local, local_port
    endpoints = (
        local_port.to_bytes(2)
        + remote_port.to_bytes(2)
        + local.ljust(16, b"\0")
        + remote.ljust(16, b"\0")
        + _ANY_INTERFACE
        + _NO_COOKIE
    )
    return netlink.pack(
        SOCK_DIAG_BY_FAMILY,
        netlink.NLM_F_REQUEST,
        sequence,
        _REQUEST.pack(family, protocol, 0, ALL_STATES) + endpoints,
    )


def dump_request(family: int, protocol: int, states: int, *, sequence: int) -> bytes:
    """Ask for all sockets of a family and protocol.

    Args:
        family: 2 (IPv4) or 10 (IPv6).
        protocol: IPPROTO_TCP or IPPROTO_UDP.
        sequence: comes back in the replies.
        states: bit n for state n, such as 1 << TCP_LISTEN.
    """
    return netlink.pack(
        SOCK_DIAG_BY_FAMILY,
        netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP,
        sequence,
        _REQUEST.pack(family, protocol, 0, states) + bytes(48),
    )


def peer_request(family: int, protocol: int, states: int, peer: bytes, *, sequence: int) -> bytes:
    """Ask for the sockets that are connected to one address; the kernel itself looks.

    Args:
        family: of the sockets; those of family 10 may be connected to an IPv4 address.
        protocol: IPPROTO_TCP or IPPROTO_UDP.
        states: bit n for state n.
        peer: raw address, 4 or 16 bytes.
        sequence: comes back in the replies.
    """
    peer_family = 2 if len(peer) == _ADDRESS_BYTES[2] else 10
    condition = _CONDITION.pack(peer_family, len(peer) * 8, _ANY_PORT) + peer
    # Bytecode (net/ipv4/inet_diag.c): a jump to its end is yes, one of 4 bytes beyond it is no.
    end = _CONDITION_OP.size + len(condition)
    program = _CONDITION_OP.pack(_INET_DIAG_BC_D_COND, end, end + 4) + condition
    return netlink.pack(
        SOCK_DIAG_BY_FAMILY,
        netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP,
        sequence,
        _REQUEST.pack(family, protocol, 0, states)
        + bytes(48)
        + netlink.attribute(_INET_DIAG_REQ_BYTECODE, program),
    )


def destroy_request(protocol: int, reply: bytes, *, sequence: int) -> bytes:
    """End the socket that a reply describes; it alone, by its cookie (Linux 4.5).

    Its owner gets ECONNABORTED; the request is acknowledged.

    Args:
        protocol: IPPROTO_TCP or IPPROTO_UDP.
        reply: the payload, as `parse_socket` read it.
        sequence: comes back in the acknowledgement.
    """
    return netlink.pack(
        SOCK_DESTROY,
        netlink.NLM_F_REQUEST | netlink.NLM_F_ACK,
        sequence,
        _REQUEST.pack(reply[0], protocol, 0, ALL_STATES) + reply[_REPLY_ID],
    )


def parse_socket(payload: bytes) -> SocketRecord:
    """Read one reply (struct inet_diag_msg).

    Raises:
        ParseError: it is cut, or of another address family.
    """
    if len(payload) < _REPLY.size:
        raise ParseError(
            f"expected {_REPLY.size} bytes of socket, got {len(payload)}", len(payload)
        )
    family, state, ports, local, remote, _, _, _, uid, inode = _REPLY.unpack_from(payload)
    size = _ADDRESS_BYTES.get(family)
    if size is None:
        raise ParseError(f"expected address family 2 or 10, got {family}")
    return SocketRecord(
        family,
        state,
        local[:size],
        ports[0] << 8 | ports[1],
        remote[:size],
        ports[2] << 8 | ports[3],
        uid,
        inode,
    )
