"""Questions to the kernel over netlink, answered before the call returns.

Rule 1: only for families that answer while the request is being sent (sock_diag, rtnetlink,
nfnetlink): nothing here ever waits.
Rule 2: a refusal is an OSError with the kernel's number; an answer that breaks its format is one
too (EBADMSG), since the kernel is at fault, not a person.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator

from vedette.codec import netlink
from vedette.codec.netlink import Message
from vedette.codec.nfnetlink import Batch
from vedette.errors import ParseError

NETLINK_ROUTE = 0
NETLINK_SOCK_DIAG = 4
NETLINK_NETFILTER = 12

_RECEIVE_BYTES = 1 << 17
_MAX_SEQUENCE = 0x7FFFFFFF


class NetlinkTalk:
    """One netlink socket for requests.

    Raises:
        OSError: the kernel lacks the family.
    """

    def __init__(self, family: int) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, family
        )
        self._socket.bind((0, 0))
        self._sequence = 0

    def one(self, request: Callable[[int], bytes]) -> bytes | None:
        """The payload of the one answer, or None where nothing is found (ENOENT).

        Args:
            request: makes the message for a sequence number.
        """
        try:
            for message in self._ask(request(self._next())):
                return message.payload
        except FileNotFoundError:
            pass
        return None

    def dump(self, request: Callable[[int], bytes]) -> Iterator[Message]:
        """Every answer to a dump request, as it comes."""
        yield from self._ask(request(self._next()))

    def batch(self, request: Callable[[int], Batch]) -> None:
        """Send an nfnetlink batch; it is carried out wholly, or not at all and raises."""
        sequence = self._next()
        data, awaited = request(sequence)
        self._socket.send(data)
        while awaited > 0:
            for message in self._receive():
                # What is left of a batch that was refused at its first request is not for us.
                if message.type == netlink.NLMSG_ERROR and message.sequence == sequence:
                    _raise_for(message.payload)
                    awaited -= 1

    def order(self, request: Callable[[int], bytes]) -> None:
        """Have one request carried out that brings an acknowledgement (NLM_F_ACK).

        Raises:
            OSError: the kernel refuses.
        """
        for _ in self._ask(request(self._next())):
            pass

    def close(self) -> None:
        """Close the socket; what it owns in the kernel ends with it."""
        self._socket.close()

    def _next(self) -> int:
        self._sequence = self._sequence % _MAX_SEQUENCE + 1
        return self._sequence

    def _ask(self, request: bytes) -> Iterator[Message]:
        sequence = self._sequence
        self._socket.send(request)
        while True:
            for message in self._receive():
                if message.sequence != sequence:
                    continue  # the rest of an answer that was not read to its end
                if message.type == netlink.NLMSG_DONE:
                    return
                if message.type == netlink.NLMSG_ERROR:
                    _raise_for(message.payload)
                    return
                yield message
                if not message.flags & netlink.NLM_F_MULTI:
                    return

    def _receive(self) -> list[Message]:
        data = self._socket.recv(_RECEIVE_BYTES)
        try:
            return list(netlink.messages(data))
        except ParseError as error:
            raise OSError(errno.EBADMSG, f"the kernel answered {error}") from error


def _raise_for(payload: bytes) -> None:
    try:
        number = netlink.error_number(payload)
    except ParseError as error:
        raise OSError(errno.EBADMSG, f"the kernel answered {error}") from error
    if number:
        raise OSError(number, os.strerror(number))
