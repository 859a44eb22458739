"""A netlink socket to the kernel's audit system, and the questions one asks over it.

Rule 1: only OSError and ParseError leave; no call waits longer than REPLY_TIMEOUT_S.
Rule 2: the socket that registers as audit daemon is the one that gets the records, so questions
go over a second socket.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final, Self

from vedette.codec import audit_control as control
from vedette.codec import netlink
from vedette.errors import ParseError

REPLY_TIMEOUT_S: Final = 2.0
"""The kernel answers within 20 ms; deleting a rule waits for an RCU grace period."""
SO_RCVBUFFORCE: Final = 33
"""asm-generic/socket.h; the standard library has no name for it."""
_MAX_REPLY_BYTES: Final = 65536


def open_socket() -> socket.socket:
    """A bound audit socket, blocking with a time limit.

    Raises:
        OSError: this kernel has no audit system (EPROTONOSUPPORT), or we may not use it.
    """
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, control.NETLINK_AUDIT)
    try:
        # setsockopt, since settimeout would make the descriptor non-blocking for all.
        seconds = int(REPLY_TIMEOUT_S)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))
        link.bind((0, 0))
    except OSError:
        link.close()
        raise
    return link


class AuditLink:
    """Asks the audit system and waits for its answer; use as a context manager."""

    def __init__(self) -> None:
        self._socket = open_socket()
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def status(self) -> control.Status:
        """Where audit stands now."""
        replies = self._ask(control.AUDIT_GET, b"", netlink.NLM_F_ACK, control.AUDIT_GET)
        return control.parse_status(replies[0])

    def rules(self) -> list[bytes]:
        """All rules of the kernel, each as AUDIT_LIST_RULES gives it."""
        return self._ask(control.AUDIT_LIST_RULES, b"", netlink.NLM_F_DUMP, None)

    def set(self, change: bytes) -> None:
        """Change the status (audit_control.change)."""
        self._ask(control.AUDIT_SET, change, netlink.NLM_F_ACK, None)

    def add(self, rule: bytes) -> None:
        """Add a rule (audit_control.pack_rule); EEXIST when it is there already."""
        self._ask(control.AUDIT_ADD_RULE, rule, netlink.NLM_F_ACK, None)

    def delete(self, rule: bytes) -> bool:
        """Delete a rule; False when there is none such."""
        try:
            self._ask(control.AUDIT_DEL_RULE, rule, netlink.NLM_F_ACK, None)
        except FileNotFoundError:
            return False
        return True

    def _ask(self, kind: int, payload: bytes, flags: int, wanted: int | None) -> list[bytes]:
        """Send a request and collect its replies until the acknowledgement and `wanted` came."""
        self._sequence += 1
        flags |= netlink.NLM_F_REQUEST
        self._socket.send(netlink.pack(kind, flags, self._sequence, payload))
        replies: list[bytes] = []
        is_acknowledged = False
        while not is_acknowledged or (wanted is not None and not replies):
            for message in self._receive():
                if message.type == netlink.NLMSG_ERROR:
                    check_acknowledgement(message.payload)
                    # A list ends with NLMSG_DONE instead; its early acknowledgement says nothing.
                    is_acknowledged = kind != control.AUDIT_LIST_RULES or is_acknowledged
                elif message.type == netlink.NLMSG_DONE:
                    is_acknowledged = True
                elif message.type == kind:
                    replies.append(message.payload)
        return replies

    def _receive(self) -> list[netlink.Message]:
        data = receive(self._socket)
        try:
            return [m for m in netlink.messages(data) if m.sequence == self._sequence]
        except ParseError:
            # An audit record strayed here (its length is wrong, codec/audit.py rule 1).
            return []


def receive(link: socket.socket) -> bytes:
    """One datagram.

    Raises:
        TimeoutError: none came in time.
    """
    try:
        return link.recv(_MAX_REPLY_BYTES)
    except BlockingIOError as error:
        raise TimeoutError(
            errno.ETIMEDOUT,
            f"expected an answer of the audit system within {REPLY_TIMEOUT_S:g} s, got none",
        ) from error


def check_acknowledgement(payload: bytes) -> None:
    """Raise the OSError that an NLMSG_ERROR payload carries, if it does."""
    number = netlink.error_number(payload)
    if number:
        raise OSError(number, os.strerror(number))


def register(link: socket.socket, pid: int) -> None:
    """Make this socket's owner the audit daemon (pid 0: give the slot back).

    Raises:
        FileExistsError: another living process owns the slot.
        OSError: not allowed, or no answer.
    """
    change = control.change(control.STATUS_PID, pid=pid)
    flags = netlink.NLM_F_REQUEST | netlink.NLM_F_ACK
    link.send(netlink.pack(control.AUDIT_SET, flags, 1, change))
    while True:
        data = receive(link)
        # Records share this socket; the acknowledgement is told by its type.
        if len(data) > netlink.HEADER_BYTES and data[4] | data[5] << 8 == netlink.NLMSG_ERROR:
            check_acknowledgement(data[netlink.HEADER_BYTES :])
            return
