"""Entries of the journal: evidence and outbox both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vedette.model.finding import Severity


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """What is to be recorded.

    Attributes:
        kind: "incident", "start", "stop", "reload", "tier", "refused", "baseline", "control",
            "epoch", "checkpoint", ...
        wall_s: Unix time as this device believes it.
        body: canonical JSON in UTF-8 (sorted keys, no spaces).
        topic: the uplink topic suffix ("up/finding", "up/posture"), or "" for what stays here.
        incident_id: the incident it belongs to, or "".
        is_routine: may wait for the next group commit, up to an hour.
    """

    kind: str
    severity: Severity
    wall_s: float
    body: bytes
    topic: str
    incident_id: str
    is_routine: bool


class Spent(NamedTuple):
    """What the uplink has sent in the present day of its data budget.

    Attributes:
        size_bytes: with all that a message costs on the way.
        day_s: seconds of that day that have passed while the agent ran; time without it is not
            counted, since no clock can be trusted to tell it.
    """

    size_bytes: int
    day_s: int


NOTHING_SPENT = Spent(0, 0)


@dataclass(frozen=True, slots=True)
class Entry:
    """A recorded draft.

    Attributes:
        epoch: counts the chains of this device; a damaged journal starts a new one.
        index: the entry's leaf number in its epoch's RFC 6962 tree, from 0.
        sequence: its number in the outbox, never used twice on this device; 0 without a topic.
        boot: the kernel's boot id under which it was recorded (32 hex digits).
    """

    draft: EntryDraft
    epoch: int
    index: int
    sequence: int
    boot: str
