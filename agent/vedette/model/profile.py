"""Profiles: what a fixed-function device does, as it was learnt and signed.

Rule 1: programs are named by their path, or by the applet's path for one file that is many programs
(`/bin/wget` for a BusyBox run as wget), generalised as core/generalisation.py says.
Rule 2: a profile is bounded; what did not fit is counted in it, never left out in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

MAX_PROGRAMS = 1024
"""Ours, as the following: routers and cameras run 30 to 200 programs."""
MAX_PAIRS = 4096
MAX_LISTENERS = 256
MAX_PEERS = 2048
MAX_PEERS_EACH = 256
"""Of one program, so that one that scans does not use up the room of the others."""
MAX_DIGESTS = 8
"""Of one program: versions that an update left behind it during the learning."""
MAX_TEXT = 1024
"""Characters of a path or name; longer ones are not learnt."""

ANY_PORT = 0
"""Of a peer: every port. Of a listener: every port from EPHEMERAL_FROM on."""
EPHEMERAL_FROM = 32_768
"""The lowest port that Linux hands out by itself (ip(7), ip_local_port_range)."""
ANY_PROGRAM = ""
"""Of a listener or peer: no source told whose it was, so it counts for every program."""

LearningState: TypeAlias = Literal["learning", "done", "stopped"]


class Program(NamedTuple):
    """A program that may run; `digests` are SHA-256 in hex, none where they could not be read."""

    path: str
    digests: tuple[str, ...]


class Pair(NamedTuple):
    """A program and another one that it may start."""

    parent: str
    child: str


class Listener(NamedTuple):
    """A port on which a program may take connections or datagrams."""

    program: str
    protocol: str
    port: int


class Peer(NamedTuple):
    """Whom a program may connect to; `peer` is a DNS name, an address, or a network as a/b.

    A name that begins with "*." stands for all names below it; only people write such.
    """

    program: str
    protocol: str
    peer: str
    port: int


class LeftOut(NamedTuple):
    """How often something new was seen and not learnt: no room, or a name no one can review."""

    programs: int = 0
    pairs: int = 0
    listeners: int = 0
    peers: int = 0
    names: int = 0


class Learnt(NamedTuple):
    """What a device was seen to do, each list sorted and without repetition."""

    programs: tuple[Program, ...] = ()
    pairs: tuple[Pair, ...] = ()
    listeners: tuple[Listener, ...] = ()
    peers: tuple[Peer, ...] = ()
    left_out: LeftOut = LeftOut()


class Origin(NamedTuple):
    """How a profile was learnt.

    Attributes:
        device: on which one.
        began_s: Unix time, as that device believed it.
        learnt_s: seconds that the agent watched.
        starts: of the device in that time; without one its start-up programs are not in it.
        losses: occasions on which events were lost meanwhile.
    """

    device: str
    began_s: int
    learnt_s: int
    starts: int
    losses: int


@dataclass(frozen=True, slots=True)
class Profile:
    """What devices of a class do on a firmware; trusted on first use until a person signs it.

    Attributes:
        name: for people; with `counter`, `issued_s` and `expires_s` it is given by who signs.
        counter: grows with each release; 0 before it is signed.
        issued_s: Unix time of signing.
        expires_s: Unix time after which it may not be newly accepted.
        device_class: of the devices it is for, as `[device] class` has it.
        firmware: on which it was learnt; on another one it is stale.
        digest: SHA-256 of the payload in hex, "" before it is signed.
    """

    name: str
    counter: int
    issued_s: int
    expires_s: int
    device_class: str
    firmware: str
    origin: Origin
    learnt: Learnt
    digest: str


class LearningRun(NamedTuple):
    """A learning run as it is kept: over restarts of the agent and of the device.

    Attributes:
        began_s: Unix time, as the device believed it.
        wanted_s: seconds to learn for; time in which the agent did not run is not counted.
        boots: kernel boot ids (32 hex digits) seen, the newest last.
        is_written: what it learnt was written out since it last changed.
    """

    state: LearningState
    device: str
    device_class: str
    firmware: str
    began_s: int
    wanted_s: int
    elapsed_s: int
    boots: tuple[str, ...]
    losses: int
    is_written: bool
    learnt: Learnt
