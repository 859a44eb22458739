"""Playbooks: which response answers which finding, and how far this kind of device lets it go.

Rule 1: a playbook enforces only where a signed promotion names it *by its digest*: one that was
changed in any way observes again until somebody promotes it anew.
Rule 2: a profile bounds all playbooks of a kind of device; a responder that it does not name only
observes there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from vedette.model.finding import Severity
from vedette.model.response import Mode

MAX_PLAYBOOKS = 256
"""Ours, as the following: a set that a person can still review."""
MAX_STEPS = 8
MAX_RULES = 256
MAX_PROFILES = 16
MAX_PER_HOUR = 1000
LONGEST_S = 30 * 86_400
"""A response that should hold for longer is an operator's decision to be confirmed."""

Aim: TypeAlias = Literal[
    "process", "parent", "image", "file", "runner", "peer", "unit", "model", "device"
]
"""What of a finding a step acts on: its process, that one's parent, the program's file, the file
that was written or taken away, a process that runs that file, the other host, a named unit or
model, this device."""


class Step(NamedTuple):
    """One response of a playbook.

    Attributes:
        responder: which one, such as "kill".
        lasts_s: seconds after which it is undone unless somebody confirms it; 0 where the responder
            has nothing to undo.
        unit: for the aim "unit" which one, such as "httpd.service"; for "model" the model's name;
            else "".
    """

    responder: str
    aim: Aim
    lasts_s: int
    unit: str = ""


class Playbook(NamedTuple):
    """Which findings it answers, and how.

    Attributes:
        name: of small letters, digits and hyphens; unique in its set.
        title: for people.
        rules: ids of rules, "vedette:<condition>" for what the agent finds itself; a finding of one
            of them is answered.
        tags: Sigma tags such as "attack.t1059.004"; a finding with one of them is answered too.
        severity: findings below it are never answered.
        steps: in their order; each is asked for whether or not the one before succeeded.
        per_hour: responses of this playbook in an hour, each step counted.
        per_target: responses of one responder against one target in an hour.
        digest: SHA-256 in hex of all that stands above.
    """

    name: str
    title: str
    rules: tuple[str, ...]
    tags: tuple[str, ...]
    severity: Severity
    steps: tuple[Step, ...]
    per_hour: int
    per_target: int
    digest: str


class Limit(NamedTuple):
    """How far a responder may go on a kind of device.

    Attributes:
        mode: OBSERVE keeps every playbook from enforcing it.
        per_hour: its responses in an hour, whatever playbook asks.
        longest_s: no response of it lasts longer.
    """

    mode: Mode
    per_hour: int
    longest_s: int


class DeviceProfile(NamedTuple):
    """What playbooks may do on a kind of device.

    Attributes:
        name: such as "home" or "industrial"; the configuration may choose it.
        classes: the `[device] class` of devices that get it when the configuration chooses none;
            "" is the class of those that name none.
        limits: by responder; one that is missing observes.
    """

    name: str
    classes: tuple[str, ...]
    limits: Mapping[str, Limit]


@dataclass(frozen=True, slots=True)
class Playbooks:
    """A set of playbooks as it was signed.

    Attributes:
        counter: grows with each release; one below the device's floor is refused.
        issued_s: Unix time of signing.
        expires_s: Unix time after which it may not be newly accepted.
        promoted: digests of the playbooks that may enforce.
        digest: SHA-256 of the payload in hex.
    """

    name: str
    counter: int
    issued_s: int
    expires_s: int
    playbooks: tuple[Playbook, ...]
    profiles: tuple[DeviceProfile, ...]
    promoted: tuple[str, ...]
    digest: str


class Promotion(NamedTuple):
    """What was decided about a playbook beside its signed set.

    Attributes:
        mode: ENFORCE by an operator's signed command; OBSERVE by one, or because a response of it
            broke an essential function.
        counter: of the set in force at that time; a later set decides anew.
        reason: for people.
    """

    mode: Mode
    counter: int
    reason: str
