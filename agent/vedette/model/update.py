"""Steps of an update: what the installer tells of a release, and what the fleet hears of it.

Rule 1: a step is told before what it allows is done: nothing is written that was not told to be
verified, nothing is tried that was not told to be written.
Rule 2: why is said twice: as a `Cause`, which decides how bad it is, and in words for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from vedette.model.release import ReleaseKind


class Step(StrEnum):
    """How far a release has come on a device."""

    OFFERED = "offered"
    """The repository has one that is newer than what is here."""
    DEFERRED = "deferred"
    """It is not its time: its rollout, a window, what it needs, or the device's own settings."""
    FETCHED = "fetched"
    VERIFIED = "verified"
    """Signatures, digests, counters, hardware and provenance allow it; nothing is changed yet."""
    REFUSED = "refused"
    """It is not applied, and nothing was changed."""
    WRITTEN = "written"
    """It is whole on the disk or in its slot, read back, and not in use."""
    TRIAL = "trial"
    """It is in use, and is given back if it does badly."""
    COMMITTED = "committed"
    ROLLED_BACK = "rolled-back"
    """What was there before is in use again."""


class Cause(StrEnum):
    """Why a release is deferred, refused or rolled back."""

    NONE = ""
    # what an attacker would do
    SIGNATURE = "signature"
    """Not signed by enough of the keys that may sign it."""
    OLDER = "older"
    """Metadata or a release that is older than what this device has seen."""
    FREEZE = "freeze"
    """The newest metadata that is offered has expired, or says nothing new for too long."""
    MIX_UP = "mix-up"
    """Metadata files that do not belong together."""
    CONTENT = "content"
    """The bytes are not those that were signed."""
    FORMAT = "format"
    """Metadata or a release that cannot be read, or that says what none may say."""
    ALTERED = "altered"
    """What lies on the disk is not what was verified and written there."""
    PROVENANCE = "provenance"
    """The policy asks for statements that are not there, or not good enough."""
    HARDWARE = "hardware"
    """It is for other devices."""
    # what a release did
    GOLDEN = "golden"
    """A model whose answers to the golden inputs are not the expected ones."""
    SAMPLES = "samples"
    """Rules that do not find what their own samples say."""
    LIMITS = "limits"
    """It took more time or memory than it may."""
    BUDGET = "budget"
    """Rules that cost or told too much once they were in use."""
    HEALTH = "health"
    """A probe failed, a sensor went blind, or a critical incident began."""
    HOOK = "hook"
    """The program that uses it could not be told, or did not take it."""
    ENVELOPE = "envelope"
    """A model that left the bounds it was signed with."""
    TIMEOUT = "timeout"
    """It was not committed in time, and the boot loader or a watchdog fell back."""
    # circumstances
    ROLLOUT = "rollout"
    WINDOW = "window"
    NEEDS = "needs"
    """What has to be there before, this agent's version included."""
    SETTINGS = "settings"
    """The device's configuration does not take releases of this kind."""
    BUSY = "busy"
    """Another update is under way or on trial."""
    FETCH = "fetch"
    """It could not be fetched; what was fetched is kept for the next try."""
    DISK = "disk"
    """The disk is full, read-only or broken, or something else that it needs of this device."""
    OPERATOR = "operator"
    """A person asked for it."""


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """One step of one release, or (kind None) something about the repository's metadata itself.

    Attributes:
        step_id: 16 hex digits, made once: a step that is told twice has it twice.
        name: of the release; of metadata the role, such as "timestamp".
        version: for people, of metadata its number.
        counter: of the release, 0 where it has none.
        digest: SHA-256 in hex of the target, "" while it is not known.
        cause: NONE for a step that simply came.
        reason: for people: what was expected, what was found.
        by: who wanted it: "schedule", "control" (root on the device), "boot", "gate" or, of a
            command, `Command.origin`.
        happened_s: Unix time of the step as the device believes it; steps can be told late.
        facts: for programs, such as {"slot": "b", "written_bytes": "1234"}.
    """

    step_id: str
    step: Step
    kind: ReleaseKind | None
    name: str
    version: str
    counter: int
    digest: str
    cause: Cause = Cause.NONE
    reason: str = ""
    by: str = "schedule"
    happened_s: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it is about, for people."""
        if self.kind is None:
            return f"metadata {self.name} {self.version}".strip()
        counter = f" (counter {self.counter})" if self.counter else ""
        return f"{self.kind} {self.name} {self.version}".strip() + counter
