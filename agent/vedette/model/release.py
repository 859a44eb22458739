"""Releases: what an operator publishes for devices, as one signed target of the repository says.

Rule 1: a release is known by (kind, name, counter). Its version is a text for people and is never
compared; the counter decides what is newer.
Rule 2: a path begins with the folder of its kind and the release's name, so that the key of one
kind can sign no release of another (DESIGN section 8).
Rule 3: what a device fetches for a release beside its target (parts, statements) is named in it
with length and digest, so one signature holds all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

MAX_NUMBER = 2**53 - 1
"""What every JSON reader holds exactly; so also the largest length of a target."""

WHOLE = 10_000
"""Fractions of a fleet are counted in ten-thousandths."""

DAY_MINUTES = 24 * 60
WEEKDAYS = 7

MAX_HARDWARE_IDS = 64
"""Ours, as the following: a signed description must stay a few kilobytes."""
MAX_NEEDS = 16
MAX_WINDOWS = 16
MAX_STATEMENTS = 16
MAX_LATE_ROLLBACK_S = 90 * 86_400
MAX_DEFER_S = 365 * 86_400
MAX_RAMP_S = 365 * 86_400


class ReleaseKind(StrEnum):
    """What a release is; each but the last two has a delegated role of its own."""

    RULES = "rules"
    PLAYBOOKS = "playbooks"
    FIRMWARE = "firmware"
    MODEL = "model"
    ADVISORIES = "advisories"
    OPERATORS = "operators"
    TRUST = "trust"
    """The trust document; a target of the top-level role."""
    POLICY = "policy"
    """What has to be said about releases of each kind (model/provenance.py); top-level too."""


ROLES: Mapping[ReleaseKind, str] = {
    ReleaseKind.RULES: "rules",
    ReleaseKind.PLAYBOOKS: "playbooks",
    ReleaseKind.FIRMWARE: "firmware",
    ReleaseKind.MODEL: "models",
    ReleaseKind.ADVISORIES: "advisories",
    ReleaseKind.OPERATORS: "operators",
    ReleaseKind.TRUST: "targets",
    ReleaseKind.POLICY: "targets",
}
"""The TUF role that may sign releases of a kind."""

FOLDERS: Mapping[ReleaseKind, str] = {
    **ROLES,
    ReleaseKind.TRUST: "trust",
    ReleaseKind.POLICY: "policy",
}
"""The first segment of a target's path; a role is delegated `FOLDER/*/*` and nothing else."""


class Urgency(StrEnum):
    """How long a device may wait with a release."""

    ROUTINE = "routine"
    """Until its rollout and a window allow it."""
    SECURITY = "security"
    """As routine; the release closes a weakness, and waiting is told as such."""
    URGENT = "urgent"
    """Until `defer_s` after the start of the rollout, then at once."""


class PartKind(StrEnum):
    """What a file beside the target is for; a release has each at most once."""

    BLOCK_INDEX = "block-index"
    """SHA-256 of each 4096-byte block of a firmware image, one after the other (32 bytes each, no
    header); the last block may be short."""
    FILE_MANIFEST = "file-manifest"
    """The files of a firmware with their digests: the baseline once it is committed
    (codec/file_manifest.py)."""
    SAMPLES = "samples"
    """Events that rules must and must not find: what a device tries them on first."""


PARTS: Mapping[ReleaseKind, frozenset[PartKind]] = {
    ReleaseKind.FIRMWARE: frozenset({PartKind.BLOCK_INDEX, PartKind.FILE_MANIFEST}),
    ReleaseKind.RULES: frozenset({PartKind.SAMPLES}),
}
"""What a release of a kind may have beside its target; the others have no parts."""


class TargetFile(NamedTuple):
    """A file of the repository.

    Attributes:
        path: of the target, such as "firmware/cam/cam-7.img".
        length: bytes, from 1.
        sha256: of the content, 64 small hex digits.
    """

    path: str
    length: int
    sha256: str


class Need(NamedTuple):
    """What has to be there before a release may be applied.

    Attributes:
        kind: of the release that is needed.
        name: of it.
        counter: the lowest that will do.
    """

    kind: ReleaseKind
    name: str
    counter: int


class Rollout(NamedTuple):
    """Which part of a fleet may take a release, and when.

    Attributes:
        starts_s: Unix time before which no device takes it.
        fraction: of WHOLE that may take it from the start; 0 holds all back.
        full_after_s: the fraction grows evenly until all may take it, so many seconds after the
            start; 0: it stays as it is until the operator signs another.
    """

    starts_s: int = 0
    fraction: int = WHOLE
    full_after_s: int = 0


AT_ONCE = Rollout()
"""All devices, from the beginning of time."""


class Window(NamedTuple):
    """A time of the week, on the device's own clock face.

    Attributes:
        days: on which it opens, 0 is Monday; at least one, sorted.
        opens_min: minutes after midnight, below DAY_MINUTES.
        lasts_min: from 1 to DAY_MINUTES; it may reach into the next day.
    """

    days: tuple[int, ...]
    opens_min: int
    lasts_min: int


@dataclass(frozen=True, slots=True)
class Release:
    """One release, as its role signed it.

    Attributes:
        version: for people.
        counter: from 1; grows with each release of (kind, name).
        issued_s: Unix time of signing.
        target: the file itself. Of a model it is the manifest (model/model_manifest.py).
        hardware_ids: sorted; none of them: for every device. A firmware names at least one.
        needs: what has to be there before.
        agent: the lowest version of Vedette that can apply it, such as "0.2"; "" any.
        summary: one line for people.
        urgency: how long it may wait.
        defer_s: seconds after `rollout.starts_s` from which a device no longer waits for its turn
            or a window; 0 with no limit, never 0 for an urgent one.
        rollout: who may take it.
        windows: when it may be applied; none: at any time.
        closes_window: of firmware: its commit ends the late-rollback window at once.
        late_rollback_s: of firmware: seconds after the commit during which the old slot stays
            legal.
        parts: other files that belong to it, by what they are for.
        statements: in-toto statements about it, each a DSSE envelope.
    """

    kind: ReleaseKind
    name: str
    version: str
    counter: int
    issued_s: int
    target: TargetFile
    hardware_ids: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    agent: str = ""
    summary: str = ""
    urgency: Urgency = Urgency.ROUTINE
    defer_s: int = 0
    rollout: Rollout = AT_ONCE
    windows: tuple[Window, ...] = ()
    closes_window: bool = False
    late_rollback_s: int = 0
    parts: Mapping[PartKind, TargetFile] = field(default_factory=dict)
    statements: tuple[TargetFile, ...] = ()

    @property
    def title(self) -> str:
        """How a release is named to people."""
        return f"{self.kind} {self.name} {self.version} (counter {self.counter})"
