"""What left a profile, in words and with its weight; why each weighs what it does stands here."""

from __future__ import annotations

from typing import NamedTuple

from vedette.core.generalisation import RANDOM, is_transient
from vedette.model.finding import Severity

_EXECUTION = ("attack.execution",)
_ALTERED = ("attack.persistence", "attack.t1554")
"""Compromise Host Software Binary: the name is known, the content is another."""
_EXPLOITED = ("attack.initial-access", "attack.t1190", "attack.execution")
"""Exploit Public-Facing Application: what the network reaches starts what it never started."""
_CONTROL = ("attack.command-and-control",)


class Thing(NamedTuple):
    """What left the profile; `key` names it within its kind."""

    kind: str
    key: tuple[str, ...]


class Departure(NamedTuple):
    """A thing, and what a finding says of it."""

    thing: Thing
    title: str
    severity: Severity
    tags: tuple[str, ...]
    reason: str


def of_program(name: str, image: str) -> Departure:
    """A program that is not in the profile.

    In days of learning it never ran. Where any process may write it was likely just brought here;
    elsewhere it may be a tool of the firmware that somebody uses for once.
    """
    return Departure(
        Thing("program", (image if RANDOM in name else name,)),
        "A program ran that the profile does not know",
        Severity.HIGH if is_transient(name) else Severity.MEDIUM,
        _EXECUTION,
        f"{name} is not among the programs of the profile",
    )


def of_content(name: str, image: str, digest: str) -> Departure:
    """A program of the profile with another content; `digest` is "" where it was not readable."""
    return Departure(
        Thing("content", (image, digest)),
        "A program's content is not the one of the profile",
        Severity.HIGH,
        _ALTERED,
        f"{name} has other contents in the profile than {digest or 'one that cannot be read'}",
    )


def of_pair(parent: str, child: str, *, is_reached: bool) -> Departure:
    """A known program started by one that never did; `is_reached`: its parent has an open port."""
    return Departure(
        Thing("pair", (parent, child)),
        "A program started one that it never started",
        Severity.HIGH if is_reached else Severity.MEDIUM,
        _EXPLOITED if is_reached else _EXECUTION,
        f"{parent} does not start {child} in the profile",
    )


def of_listener(program: str, protocol: str, port: int, address: str) -> Departure:
    """A new port; whoever uses one that only this host reaches is on it already."""
    return Departure(
        Thing("listener", (program, protocol, str(port))),
        "A port was opened that the profile does not know",
        Severity.MEDIUM if is_loopback(address) else Severity.HIGH,
        _CONTROL,
        f"{_words(program)} has no {protocol} port {port} in the profile",
    )


def of_peer(program: str, protocol: str, peer: str, port: int, address: str) -> Departure:
    """A new peer: a neighbour may be new in the house, who is called on the internet is not."""
    return Departure(
        Thing("peer", (program, protocol, peer, str(port))),
        "A program connected to a peer that the profile does not know",
        Severity.LOW if _is_neighbour(address) else Severity.MEDIUM,
        _CONTROL,
        f"{_words(program)} has no peer {peer}, {protocol} port {port}, in the profile",
    )


def is_loopback(address: str) -> bool:
    """Whether an address never leaves this host (RFC 1122 3.2.1.3, RFC 4291 2.5.3)."""
    return address.startswith("127.") or address == "::1"


def _is_neighbour(address: str) -> bool:
    """RFC 1918, RFC 3927, RFC 4193 and RFC 4291 2.5.6; multicast and broadcast of the link."""
    if ":" in address:
        return address.startswith(("fc", "fd", "fe8", "fe9", "fea", "feb", "ff"))
    if address.startswith("172."):
        second = address.split(".")[1]
        return second.isdecimal() and 16 <= int(second) <= 31  # noqa: PLR2004 (172.16.0.0/12)
    return address.startswith(("10.", "192.168.", "169.254.", "224.0.0.", "239.", "255."))


def _words(program: str) -> str:
    return program or "an unknown program"
