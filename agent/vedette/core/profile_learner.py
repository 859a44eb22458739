"""Gathers what a device does while it learns, into sets that cannot grow without end.

Rule 1: what has no room is counted, and not learnt: once the profile is in force it is a finding.
Rule 2: what varies by itself is folded on evidence: FOLD_PEERS addresses of one network become the
network, FOLD_PEERS ports of one peer any port, FOLD_PORTS ephemeral ports of one program any such.
Rule 3: a name that a person could not review (control characters, bytes that are no UTF-8, more
than MAX_TEXT characters) is not learnt.
"""

from __future__ import annotations

from vedette.codec.addresses import network_of
from vedette.codec.profile import is_host, is_program
from vedette.model.profile import (
    ANY_PORT,
    ANY_PROGRAM,
    EPHEMERAL_FROM,
    MAX_DIGESTS,
    MAX_LISTENERS,
    MAX_PAIRS,
    MAX_PEERS,
    MAX_PEERS_EACH,
    MAX_PROGRAMS,
    Learnt,
    LeftOut,
    Listener,
    Pair,
    Peer,
    Program,
)

FOLD_PEERS = 8
"""Ours: a service answers from a handful of addresses; eight neighbours are a network."""
FOLD_PORTS = 4


class Learner:
    """What was learnt so far. Each method that learns returns False if there was no room.

    Args:
        learnt: what an earlier process of the same run had gathered.

    Attributes:
        revision: grows whenever there is something new to keep.
    """

    def __init__(self, learnt: Learnt) -> None:
        self._digests = {program.path: set(program.digests) for program in learnt.programs}
        self._pairs = set(learnt.pairs)
        self._listeners = set(learnt.listeners)
        self._peers: dict[str, set[Peer]] = {}
        for peer in learnt.peers:
            self._peers.setdefault(peer.program, set()).add(peer)
        self._left_out = learnt.left_out._asdict()
        self.revision = 0

    def program(self, name: str) -> bool:
        """A program ran."""
        if name in self._digests:
            return True
        has_room = len(self._digests) < MAX_PROGRAMS
        if not self._admits("programs", has_room, has_name=is_program(name)):
            return False
        self._digests[name] = set()
        return True

    def digest(self, name: str, digest: str) -> bool:
        """The content of a program, SHA-256 in hex; "" where it could not be read."""
        known = self._digests.get(name)
        if known is None or not digest or digest in known:
            return True
        if not self._admits("programs", len(known) < MAX_DIGESTS, has_name=True):
            return False
        known.add(digest)
        return True

    def pair(self, parent: str, child: str) -> bool:
        """A program started another."""
        pair = Pair(parent, child)
        if pair in self._pairs:
            return True
        has_name = is_program(parent) and is_program(child)
        if not self._admits("pairs", len(self._pairs) < MAX_PAIRS, has_name=has_name):
            return False
        self._pairs.add(pair)
        return True

    def listener(self, program: str, protocol: str, port: int) -> bool:
        """A program takes connections or datagrams on a port."""
        listener = Listener(program, protocol, port)
        ephemeral = listener._replace(port=ANY_PORT)
        if listener in self._listeners:
            return True
        if port >= EPHEMERAL_FROM and ephemeral in self._listeners:
            return True
        has_room = len(self._listeners) < MAX_LISTENERS
        if not self._admits("listeners", has_room, has_name=_is_owner(program)):
            return False
        self._listeners.add(listener)
        alike = {
            one for one in self._listeners if one[:2] == listener[:2] and one.port >= EPHEMERAL_FROM
        }
        if len(alike) >= FOLD_PORTS:
            self._listeners -= alike
            self._listeners.add(ephemeral)
        return True

    def peer(self, program: str, protocol: str, peer: str, port: int) -> bool:
        """A program connected to a peer, a name or an address."""
        wanted = Peer(program, protocol, peer, port)
        own = self._peers.setdefault(program, set())
        if wanted in own or any(one in own for one in wider(wanted)):
            return True
        has_room = len(own) < MAX_PEERS_EACH and sum(map(len, self._peers.values())) < MAX_PEERS
        has_name = _is_owner(program) and is_host(peer)
        if not self._admits("peers", has_room, has_name=has_name):
            return False
        own.add(wanted)
        _fold(own, wanted)
        return True

    def learnt(self) -> Learnt:
        """Everything, sorted; a peer of an unknown program is left to the program that has it."""
        peers = {peer for own in self._peers.values() for peer in own}
        owned = {
            peer._replace(program=ANY_PROGRAM) for peer in peers if peer.program != ANY_PROGRAM
        }
        programs = sorted(self._digests.items())
        return Learnt(
            tuple(Program(path, tuple(sorted(found))) for path, found in programs),
            tuple(sorted(self._pairs)),
            tuple(sorted(self._listeners)),
            tuple(sorted(peers - owned)),
            self.left_out,
        )

    @property
    def left_out(self) -> LeftOut:
        """What could not be learnt."""
        return LeftOut(**self._left_out)

    def _admits(self, kind: str, has_room: bool, *, has_name: bool) -> bool:  # noqa: FBT001
        """Whether something new may be learnt; counts it where it may not."""
        self.revision += 1
        if not (has_room and has_name):
            self._left_out[kind if has_name else "names"] += 1
        return has_room and has_name


def _is_owner(program: str) -> bool:
    return program == ANY_PROGRAM or is_program(program)


def wider(peer: Peer) -> tuple[Peer, ...]:
    """The folded entries of the same program under which a peer may stand."""
    network = network_of(peer.peer)
    found = [peer._replace(port=ANY_PORT)]
    if network:
        found += [peer._replace(peer=network), peer._replace(peer=network, port=ANY_PORT)]
    return tuple(found)


def _fold(own: set[Peer], new: Peer) -> None:
    """Replace neighbours of a new entry by the entry that stands for all of them."""
    ports = {one for one in own if one[:3] == new[:3]}
    if len(ports) >= FOLD_PEERS:
        own -= ports
        new = new._replace(port=ANY_PORT)
        own.add(new)
    network = network_of(new.peer)
    if not network:
        return
    neighbours = {
        one
        for one in own
        if one.protocol == new.protocol and one.port == new.port and network_of(one.peer) == network
    }
    if len(neighbours) >= FOLD_PEERS:
        own -= neighbours
        own.add(new._replace(peer=network))
