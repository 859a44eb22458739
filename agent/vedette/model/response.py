"""Responses: what is to be done against a cause, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from vedette.model.process import ProcessKey


class Mode(StrEnum):
    """Whether a response is carried out."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


class ProcessTarget(NamedTuple):
    """A process with all its descendants, those born meanwhile included.

    Attributes:
        key: start ticks of 0 where the source does not tell them (audit).
        seen_at_s: CLOCK_BOOTTIME of an event that spoke of it; whoever began later is another one.
            0 where nobody knows.
        kin: descendants as the process table knows them, also those that were given to init because
            what lay between has ended; without start ticks they are left alone.
    """

    key: ProcessKey
    image: str
    seen_at_s: float = 0.0
    kin: tuple[ProcessKey, ...] = ()


class FileTarget(NamedTuple):
    """A file as it was judged; `sha256` is "" where nobody had read it."""

    path: str
    sha256: str


class PeerTarget(NamedTuple):
    """Another host: an IPv4 or IPv6 address in its shortest text (RFC 5952)."""

    address: str


class UnitTarget(NamedTuple):
    """A unit of the service manager, with its suffix: "httpd.service"."""

    unit: str


class ModelTarget(NamedTuple):
    """A model of this device; `sha256` is the content that is meant, "" for what is in use."""

    model: str
    sha256: str = ""


class DeviceTarget(NamedTuple):
    """This device as a whole."""


Target: TypeAlias = (
    ProcessTarget | FileTarget | PeerTarget | UnitTarget | ModelTarget | DeviceTarget
)


class Order(NamedTuple):
    """One response that was decided.

    Attributes:
        response_id: unique on this device for ever, 16 hex digits.
        responder: which one carries it out, such as "kill" (responses/, one file each).
        cause: the rule's id, or "operator:<key id>:<number>" for a command.
        incident_id: the incident it answers, or "" for a command that names none.
        playbook: name of the playbook that decided it, or "" for a command.
        lasts_s: seconds of running time after which it is undone; 0 where nothing is to be undone.
    """

    response_id: str
    responder: str
    target: Target
    mode: Mode
    cause: str
    incident_id: str
    playbook: str
    lasts_s: float


class ResponseStatus(StrEnum):
    """How a response or its undo ended; every one of them is told."""

    OBSERVED = "observed"
    """It would have been done."""
    DONE = "done"
    PARTLY = "partly"
    """Some of it holds; the detail says what."""
    FAILED = "failed"
    """Nothing holds; the detail says why."""
    REFUSED = "refused"
    """The target may not be touched, or is no longer the one that was meant."""
    UNDONE = "undone"


UndoRecord: TypeAlias = Mapping[str, str | int]
"""All that an undo needs, as the responder wrote it before it acted; it survives a reboot."""


class Outcome(NamedTuple):
    """What came of a response, for people (`detail`) and for programs (`facts`)."""

    status: ResponseStatus
    detail: str
    facts: Mapping[str, str | int]
