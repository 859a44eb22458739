"""A device and a host beside it, each in a network namespace, on one cable, IPv4 and IPv6.

Entered, the calling thread is on the device; from there it makes sockets of either end.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Self

from tests.simulators.network import Namespace, enter, give_address, join

DEVICE: Final = ("10.97.0.1", "fd97::1")
PEER: Final = ("10.97.0.2", "fd97::2")
PATIENCE_S: Final = 0.25
"""A connection on the cable takes a millisecond; a dropped one never comes."""


MEETING_S: Final = 20.0


class Neighbours:
    """The two namespaces; a context manager that is on the device while entered."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._stack.callback(os.close, self._home)
        self.device = self._stack.enter_context(Namespace())
        self.peer = self._stack.enter_context(Namespace())
        join(self.device, "eth0", self.peer, "eth0")
        for where, ends in ((self.device, DEVICE), (self.peer, PEER)):
            give_address(where, "eth0", f"{ends[0]}/24")
            give_address(where, "eth0", f"{ends[1]}/64")
        self._meet()

    def __enter__(self) -> Self:
        enter(self.device.fd)
        return self

    def __exit__(self, *_: object) -> None:
        enter(self._home)
        self.close()

    def close(self) -> None:
        """Take both away; the calling thread must be elsewhere."""
        self._stack.close()

    def forget_ipv4(self) -> None:
        """Leave both ends, and their loopback, with IPv6 alone."""
        for where in (self.device, self.peer):
            for name in ("eth0", "lo"):
                where.run("ip", "-4", "address", "flush", "dev", name)

    def _meet(self) -> None:
        """Have both ends know each other's link address, which a test must not wait for."""
        ends_s = time.monotonic() + MEETING_S
        for end in (*PEER, *DEVICE):
            while not self.reaches(end):
                assert time.monotonic() < ends_s, f"no way to {end} over the cable"

    def ruleset(self) -> str:
        """All of nftables on the device."""
        return self.device.run("nft", "list", "ruleset")

    @contextmanager
    def connection(self, *, to: str = PEER[0]) -> Iterator[tuple[socket.socket, socket.socket]]:
        """A TCP connection over the cable: its end on the device, and the peer's."""
        with ExitStack() as stack:
            where = self.peer if to in PEER else self.device
            with where.entered():
                server = stack.enter_context(listening(to))
            with (self.device if to in PEER else self.peer).entered():
                client = stack.enter_context(connected(server))
            accepted, _ = server.accept()
            stack.enter_context(accepted)
            yield (client, accepted) if to in PEER else (accepted, client)

    def reaches(self, to: str) -> bool:
        """Whether a new TCP connection to one end comes about, begun at the other."""
        try:
            with self.connection(to=to):
                return True
        except OSError:
            return False

    def hears(self, to: str) -> bool:
        """Whether a datagram comes through to one end, sent from the other."""
        family = family_of(to)
        with ExitStack() as stack:
            with (self.peer if to in PEER else self.device).entered():
                receiver = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
                receiver.bind((to, 0))
            with (self.device if to in PEER else self.peer).entered():
                sender = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            with contextlib.suppress(PermissionError):
                sender.sendto(b"x", receiver.getsockname())
            receiver.settimeout(PATIENCE_S)
            try:
                return receiver.recv(1) == b"x"
            except TimeoutError:
                return False


def family_of(address: str) -> socket.AddressFamily:
    """Of an address in text."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listening(address: str, port: int = 0) -> socket.socket:
    """A TCP socket that accepts in the present namespace."""
    server = socket.create_server((address, port), family=family_of(address))
    server.settimeout(PATIENCE_S)
    return server


def connected(server: socket.socket) -> socket.socket:
    """A connection to it from the present namespace, or OSError soon."""
    return socket.create_connection(server.getsockname()[:2], timeout=PATIENCE_S)
