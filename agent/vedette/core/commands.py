"""What the core asks for: orders to the shell, as a closed union."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from vedette.model.finding import Incident
from vedette.model.journal import EntryDraft
from vedette.model.playbook import Promotion
from vedette.model.response import Order


class Subject(NamedTuple):
    """A process whose details are wanted; the shell checks that the pid still means this one.

    `known_s` is when it was seen to have the pid, `spoken_s` when the event happened that speaks of
    the pid (CLOCK_BOOTTIME).
    """

    pid: int
    start_ticks: int
    image: str
    known_s: float
    spoken_s: float


class Resolve(NamedTuple):
    """Find out unit, start time and executable digest; answer with Resolved, in any order."""

    ticket: int
    subjects: tuple[Subject, ...]


class Append(NamedTuple):
    """Record this; `incident` is given along for those who follow incidents on the device."""

    draft: EntryDraft
    incident: Incident | None


class Wake(NamedTuple):
    """Send Ticked at this CLOCK_BOOTTIME second; replaces the wake-up asked for before."""

    at_s: float


class Rescan(NamedTuple):
    """Compare the watched files with the baseline now: events about them were lost."""

    reason: str


class Continue(NamedTuple):
    """Send Continued once all that waits now was given its turn: there is a slice of work left."""


class SettleRules(NamedTuple):
    """The bundle on trial has proved itself (reason ""), or is to be given back for a reason."""

    digest: str
    reason: str


class Respond(NamedTuple):
    """Carry this out and answer with Responded; in mode OBSERVE find out only whether it could be.

    The shell records it before it acts; a responder with an undo acts once that is on the disk.
    """

    order: Order


class Undo(NamedTuple):
    """Undo a response and answer with Responded (`is_undo`); one that is unknown is FAILED."""

    response_id: str
    reason: str


class Keep(NamedTuple):
    """A response that holds lasts for so many seconds from now; 0 until it is undone."""

    response_id: str
    lasts_s: float


class Release(NamedTuple):
    """A response needs no undo any more: forget its record."""

    response_id: str


class Promote(NamedTuple):
    """Keep this decision about a playbook over a restart."""

    playbook: str
    digest: str
    promotion: Promotion


class Probe(NamedTuple):
    """Probe the essential functions now and answer with EssentialProbed for each."""

    reason: str


DefenceCommand: TypeAlias = Respond | Undo | Keep | Release | Promote | Probe

Command: TypeAlias = Resolve | Append | Wake | Rescan | Continue | SettleRules | DefenceCommand
