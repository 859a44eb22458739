"""What a step of an update means: how bad it is, of what it is a trace, what is recorded.

Rule 1: every step is an entry of the journal and a message; one whose cause is what an attacker
would do, or that a release did badly, is an incident as well.
Rule 2: techniques are named where the step itself shows them: ATT&CK Enterprise for what reaches a
device's software, ATLAS for what reaches its models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vedette.codec import topics, update_report
from vedette.codec.ocsf import canonical
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft
from vedette.model.release import ReleaseKind
from vedette.model.update import Cause, Step, UpdateReport

KIND = "update"

SUPPLY_CHAIN = ("attack.initial-access", "attack.t1195.002")
"""ATT&CK T1195.002: Compromise Software Supply Chain."""
DEVELOPMENT_TOOLS = ("attack.initial-access", "attack.t1195.001")
"""ATT&CK T1195.001: Compromise Software Dependencies and Development Tools."""
DOWNGRADE_IMAGE = ("attack.t1601.002",)
"""ATT&CK T1601.002: Downgrade System Image."""
MODEL_SUPPLY_CHAIN = ("atlas.aml.t0010.003",)
"""ATLAS AML.T0010.003: AI Supply Chain Compromise, Model."""
MODEL_RUG_PULL = ("atlas.aml.t0109",)
"""ATLAS AML.T0109: AI Supply Chain Rug Pull."""
MODEL_POISONED = ("atlas.aml.t0018.000",)
"""ATLAS AML.T0018.000: Manipulate AI Model, Poison AI Model."""
MODEL_ALTERED = ("atlas.aml.t0018", "atlas.aml.t0076")
"""ATLAS AML.T0018 Manipulate AI Model, AML.T0076 Corrupt AI Model."""
MODEL_ERODED = ("atlas.aml.t0031",)
"""ATLAS AML.T0031: Erode AI Model Integrity."""
MODEL_EXHAUSTED = ("atlas.aml.t0029",)
"""ATLAS AML.T0029: Denial of AI Service."""


class Judgement(NamedTuple):
    """What a step means; `condition` is "" where it is no incident."""

    severity: Severity
    condition: str
    title: str
    tags: tuple[str, ...]


_SUSPECT: Mapping[Cause, tuple[Severity, str, tuple[str, ...]]] = {
    Cause.SIGNATURE: (
        Severity.HIGH, "An update was refused: its signatures are not those of its keys",
        SUPPLY_CHAIN,
    ),
    Cause.OLDER: (
        Severity.HIGH, "An update was refused: it is older than what this device has seen",
        SUPPLY_CHAIN,
    ),
    Cause.FREEZE: (
        Severity.MEDIUM, "Nothing fresh comes from where updates come from", SUPPLY_CHAIN
    ),
    Cause.MIX_UP: (
        Severity.HIGH, "An update was refused: its metadata do not belong together", SUPPLY_CHAIN
    ),
    Cause.CONTENT: (
        Severity.HIGH, "An update was refused: its bytes are not those that were signed",
        SUPPLY_CHAIN,
    ),
    Cause.FORMAT: (
        Severity.MEDIUM, "An update was refused: it is not what it should be", SUPPLY_CHAIN
    ),
    Cause.PROVENANCE: (
        Severity.HIGH, "An update was refused: how it was made does not satisfy the policy",
        DEVELOPMENT_TOOLS,
    ),
}  # fmt: skip
"""What an attacker would do."""

_BAD: Mapping[Cause, tuple[Severity, str]] = {
    Cause.ALTERED: (Severity.CRITICAL, "A release was changed on the disk after it was verified"),
    Cause.GOLDEN: (Severity.HIGH, "A model was refused: its golden test failed"),
    Cause.SAMPLES: (Severity.HIGH, "Rules were refused: they fail their own samples"),
    Cause.LIMITS: (Severity.HIGH, "A release took more time or memory than it may"),
    Cause.BUDGET: (Severity.HIGH, "New rules cost or told too much, and were given back"),
    Cause.HEALTH: (Severity.HIGH, "A release was given back: the device was not well with it"),
    Cause.HOOK: (Severity.MEDIUM, "A release was given back: its user did not take it"),
    Cause.ENVELOPE: (Severity.HIGH, "A model left the bounds that it was signed with"),
    Cause.TIMEOUT: (Severity.HIGH, "A release was given back: it was not committed in time"),
}
"""What a release did."""

_OF_MODELS: Mapping[Cause, tuple[str, ...]] = {
    Cause.ALTERED: MODEL_ALTERED,
    Cause.GOLDEN: MODEL_POISONED,
    Cause.ENVELOPE: MODEL_ERODED,
    Cause.LIMITS: MODEL_EXHAUSTED,
    Cause.HEALTH: MODEL_EXHAUSTED,
    Cause.TIMEOUT: MODEL_EXHAUSTED,
}


def judge(report: UpdateReport) -> Judgement:
    """How bad a step is and what it is a trace of."""
    suspect, bad = _SUSPECT.get(report.cause), _BAD.get(report.cause)
    if suspect is not None and report.step is not Step.DEFERRED:
        severity, title, tags = suspect
        return Judgement(severity, _condition(report), title, _suspected(report, tags))
    if bad is not None and report.step in {Step.REFUSED, Step.ROLLED_BACK}:
        severity, title = bad
        tags = _OF_MODELS.get(report.cause, ()) if report.kind is ReleaseKind.MODEL else ()
        return Judgement(severity, _condition(report), title, tags)
    is_notable = report.step in {Step.REFUSED, Step.ROLLED_BACK}
    return Judgement(Severity.LOW if is_notable else Severity.INFORMATIONAL, "", "", ())


def fields(report: UpdateReport) -> dict[str, str]:
    """A step as an incident shows it."""
    found = {
        "Action": str(report.step),
        "Target": report.title,
        "Reason": report.reason,
        "Digest": report.digest,
        "By": report.by,
    }
    return {name: value for name, value in found.items() if value}


def draft(
    report: UpdateReport, judgement: Judgement, *, device: str, tenant: str, wall_s: float
) -> EntryDraft:
    """The entry of a step, which is its message as well."""
    body = update_report.document(
        report, judgement.severity, judgement.tags, device=device, tenant=tenant, wall_s=wall_s
    )
    return EntryDraft(
        KIND, judgement.severity, wall_s, canonical(body), topics.UPDATE, "", is_routine=False
    )


def _condition(report: UpdateReport) -> str:
    return f"update-{report.cause}"


def _suspected(report: UpdateReport, tags: tuple[str, ...]) -> tuple[str, ...]:
    if report.kind is ReleaseKind.MODEL:
        older = MODEL_RUG_PULL if report.cause is Cause.OLDER else ()
        return (*tags, *MODEL_SUPPLY_CHAIN, *older)
    if report.kind is ReleaseKind.FIRMWARE and report.cause is Cause.OLDER:
        return (*tags, *DOWNGRADE_IMAGE)
    return tags
