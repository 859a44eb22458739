"""Whether something is in the profile: set look-ups on the way of every event, nothing else.

Rule 1: what is in the profile as it stands costs one look-up; whatever has to be widened (a
network, any port, a wildcard) is worked out once and remembered, bounded.
Rule 2: an entry of no known program counts for every program, and an event of no known program is
in the profile if any program's entry is: who cannot be told apart is not accused.
"""

from __future__ import annotations

from collections.abc import Iterator

from vedette.codec.addresses import network_of
from vedette.core.memo import Memo
from vedette.model.profile import ANY_PORT, ANY_PROGRAM, EPHEMERAL_FROM, Profile

REMEMBERED = 2048
"""Ours: some 0.4 MB when full."""

_NO_DIGESTS: frozenset[str] = frozenset()


class Judge:
    """One profile, laid out for asking."""

    def __init__(self, profile: Profile) -> None:
        learnt = profile.learnt
        self.profile = profile
        self._programs = {one.path: frozenset(one.digests) for one in learnt.programs}
        self._pairs: set[tuple[str, str]] = {(one.parent, one.child) for one in learnt.pairs}
        self._listeners: set[tuple[str, str, int]] = {(*one,) for one in learnt.listeners}
        self._peers: set[tuple[str, str, str, int]] = {(*one,) for one in learnt.peers}
        self._anyones_listeners = {one[1:] for one in self._listeners}
        self._anyones_peers = {one[1:] for one in self._peers}
        self._services = frozenset(one.program for one in learnt.listeners)
        self._decided: Memo[tuple[str, str, str, int], bool] = Memo(REMEMBERED)

    def program(self, name: str) -> bool:
        """Whether a program may run."""
        return name in self._programs

    def digests(self, name: str) -> frozenset[str]:
        """The contents a program may have; empty where none is known."""
        return self._programs.get(name, _NO_DIGESTS)

    def pair(self, parent: str, child: str) -> bool:
        """Whether a program may start another."""
        return (parent, child) in self._pairs

    def is_service(self, name: str) -> bool:
        """Whether the network can reach a program: it takes connections in the profile."""
        return name in self._services

    def listener(self, program: str, protocol: str, port: int) -> bool:
        """Whether a program may take connections on a port."""
        if (program, protocol, port) in self._listeners:
            return True
        ports = (port, ANY_PORT) if port >= EPHEMERAL_FROM else (port,)
        if program == ANY_PROGRAM:
            return any((protocol, number) in self._anyones_listeners for number in ports)
        return any(
            (who, protocol, number) in self._listeners
            for who in (program, ANY_PROGRAM)
            for number in ports
        )

    def peer(self, program: str, protocol: str, peer: str, port: int) -> bool:
        """Whether a program may connect to a name or an address."""
        key = (program, protocol, peer, port)
        if key in self._peers:
            return True
        found = self._decided.find(key)
        if found is None:
            found = any(self._has_peer(program, protocol, one, port) for one in _wider(peer))
            self._decided.keep(key, found, len(program) + len(peer))
        return found

    def _has_peer(self, program: str, protocol: str, peer: str, port: int) -> bool:
        ends = ((protocol, peer, port), (protocol, peer, ANY_PORT))
        if program == ANY_PROGRAM:
            return any(end in self._anyones_peers for end in ends)
        return any((who, *end) in self._peers for who in (program, ANY_PROGRAM) for end in ends)


def _wider(peer: str) -> Iterator[str]:
    """A peer, its network if it is an address, and the wildcards above it if it is a name."""
    yield peer
    network = network_of(peer)
    if network:
        yield network
        return
    rest = peer
    while "." in rest:
        rest = rest.partition(".")[2]
        yield f"*.{rest}"
