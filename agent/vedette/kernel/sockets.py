"""The kernel's sockets: all of a kind, and an end to those of one peer.

Rule: only sockets of this network namespace are seen; a container's are its own.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import NamedTuple

from vedette.codec import sock_diag
from vedette.codec.sock_diag import SocketRecord
from vedette.errors import ParseError
from vedette.kernel.netlink_talk import NETLINK_SOCK_DIAG, NetlinkTalk

_AF_INET = 2
_AF_INET6 = 10
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"  # RFC 4291 2.5.5.2
_TIME_WAIT = 6  # include/net/tcp_states.h
_NOT_LIVE = 1 << sock_diag.TCP_LISTEN | 1 << sock_diag.TCP_CLOSE | 1 << _TIME_WAIT
_LIVE_TCP = sock_diag.ALL_STATES & ~_NOT_LIVE
_KINDS = (
    (sock_diag.IPPROTO_TCP, _LIVE_TCP),
    (sock_diag.IPPROTO_UDP, 1 << sock_diag.TCP_ESTABLISHED),
)
_ABSENT = frozenset({errno.ENOENT, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
"""This kernel has no sockets of the kind, so there are none to end."""


class Cut(NamedTuple):
    """How connections were ended.

    Attributes:
        ended: sockets that are no more.
        problem: why others, or all, could not be ended, or "".
    """

    ended: int
    problem: str


def dump(talk: NetlinkTalk, family: int, protocol: int, states: int) -> Iterator[SocketRecord]:
    """All sockets of a family, protocol and set of states.

    Raises:
        OSError: the kernel refuses; ENOENT means that it lacks this part of sock_diag.
    """

    def request(sequence: int) -> bytes:
        return sock_diag.dump_request(family, protocol, states, sequence=sequence)

    for message in talk.dump(request):
        try:
            yield sock_diag.parse_socket(message.payload)
        except ParseError:
            continue  # a socket of a family that nobody asked for


def cut(peer: bytes) -> Cut:
    """End all TCP connections and connected UDP sockets with a peer; their owners are told so.

    Args:
        peer: raw address, 4 or 16 bytes; an IPv4 one also in its IPv4-mapped form.
    """
    ended, problems = 0, []
    try:
        talk = NetlinkTalk(NETLINK_SOCK_DIAG)
    except OSError as error:
        return Cut(0, f"this kernel does not tell its sockets: {error.strerror}")
    try:
        for family in _families(peer):
            for protocol, states in _KINDS:
                found = _cut_kind(talk, family, protocol, states, peer)
                ended += found.ended
                problems.append(found.problem)
    finally:
        talk.close()
    return Cut(ended, next(filter(None, problems), ""))


def _cut_kind(talk: NetlinkTalk, family: int, protocol: int, states: int, peer: bytes) -> Cut:
    def question(sequence: int) -> bytes:
        return sock_diag.peer_request(family, protocol, states, peer, sequence=sequence)

    try:
        replies = [message.payload for message in talk.dump(question)]
    except OSError as error:
        absent = error.errno in _ABSENT
        return Cut(0, "" if absent else f"sockets cannot be listed: {error.strerror}")
    ended, problem = 0, ""
    for reply in filter(_is_with(peer), replies):
        why = _end(talk, protocol, reply)
        ended, problem = ended + (not why), problem or why
    return Cut(ended, problem)


def _end(talk: NetlinkTalk, protocol: int, reply: bytes) -> str:
    """Why it could not be ended, "" when it is no more."""
    try:
        talk.order(lambda n: sock_diag.destroy_request(protocol, reply, sequence=n))
    except FileNotFoundError:
        return ""  # it ended by itself meanwhile
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return "it needs a kernel with CONFIG_INET_DIAG_DESTROY"
        return error.strerror or str(error)
    return ""


def _families(peer: bytes) -> tuple[int, ...]:
    return (_AF_INET, _AF_INET6) if len(peer) == 4 else (_AF_INET6,)  # noqa: PLR2004 (IPv4)


def _is_with(peer: bytes) -> Callable[[bytes], bool]:
    """Whether a reply is about a socket of this peer: nothing else may ever be ended."""
    forms = {peer, _MAPPED_PREFIX + peer}

    def is_with(reply: bytes) -> bool:
        try:
            return sock_diag.parse_socket(reply).remote in forms
        except ParseError:
            return False

    return is_with
