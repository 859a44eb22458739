"""What is said about how a release came to be, and what a policy wants said.

Rule 1: a statement counts for what its signer may say and no more: who signed decides, not what the
statement says of itself.
Rule 2: a policy's rules have numbers that stay; a refusal names one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from vedette.model.release import ReleaseKind

MAX_SIGNERS = 64
MAX_RULES = 64


class Authorship(StrEnum):
    """Who wrote it; in the order in which the later one is the more doubtful."""

    HUMAN = "human"
    AI_ASSISTED = "ai-assisted"
    AI_GENERATED = "ai-generated"
    UNKNOWN = "unknown"


class StatementKind(StrEnum):
    """What a statement is about."""

    BUILD = "build"
    """SLSA provenance: who built it, from what."""
    REVIEW = "review"
    """A person read it, or the source it was built from, and found it good or not."""
    AUTHORSHIP = "authorship"
    APPROVAL = "approval"
    """A person let exactly these bytes go out."""
    OTHER = "other"
    """A predicate that we keep and do not judge, such as an SBOM."""


class Statement(NamedTuple):
    """An in-toto statement, as far as a policy looks at it.

    Attributes:
        subjects: digests of what it is about, each as "sha256:<hex>" or "gitCommit:<hex>".
        builder: of a build: the builder's URI.
        materials: of a build: digests of what it was made from, as `subjects`.
        is_good: of a review or approval: whether its answer is yes.
        authorship: of a statement of authorship.
        note: for people.
    """

    kind: StatementKind
    subjects: frozenset[str]
    builder: str = ""
    materials: frozenset[str] = frozenset()
    is_good: bool = False
    authorship: Authorship = Authorship.UNKNOWN
    note: str = ""


class Signer(NamedTuple):
    """A key whose statements a policy counts.

    Attributes:
        public_key: 32 raw bytes of Ed25519.
        is_person: reviews and approvals count from persons alone.
    """

    name: str
    public_key: bytes
    is_person: bool


class PolicyRule(NamedTuple):
    """One demand.

    Attributes:
        number: what a refusal names; from 1, ascending, never given to another rule.
        kinds: of the releases it is for; none: all but trust documents and policies.
        names: of the releases; none: all.
        if_authorship: it is asked only of releases of such authorship; none: of all.
        demand: what kind of statement it wants; never OTHER.
        signers: whose statements count.
        least: how many of them have to say so.
        builders: of a build: the URIs that will do; none: any.
        allowed: of authorship: what will do.
        reason: why it is asked, for people.
    """

    number: int
    kinds: tuple[ReleaseKind, ...]
    names: tuple[str, ...]
    if_authorship: tuple[Authorship, ...]
    demand: StatementKind
    signers: tuple[str, ...]
    least: int
    builders: tuple[str, ...]
    allowed: tuple[Authorship, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ReleasePolicy:
    """What has to be said about releases before a device takes them.

    Attributes:
        name, counter, issued_s, expires_s, digest: as of all signed content
            (trust/content_gate.py: Numbered).
    """

    name: str
    counter: int
    issued_s: int
    expires_s: int
    signers: tuple[Signer, ...]
    rules: tuple[PolicyRule, ...]
    digest: str


class Verdict(NamedTuple):
    """What a policy says of a release.

    Attributes:
        is_allowed: whether it may be applied.
        rule: the number of the rule that refuses; 0 for none.
        reason: for people: which demand is not met, and what was found instead.
        warnings: what is worth recording although it decides nothing.
        facts: for the journal: who built, wrote, reviewed and approved it.
    """

    is_allowed: bool
    rule: int
    reason: str
    warnings: tuple[str, ...]
    facts: dict[str, str]
