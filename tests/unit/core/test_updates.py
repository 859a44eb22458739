"""What a step of an update means: incidents with techniques, or a plain entry."""

from __future__ import annotations

from typing import Any

import pytest

from vedette.codec import attack, strict_json
from vedette.codec.update_report import parse_document
from vedette.core import updates
from vedette.model.finding import Severity
from vedette.model.release import ReleaseKind
from vedette.model.update import Cause, Step, UpdateReport


def step(step: Step, cause: Cause = Cause.NONE, kind: ReleaseKind | None = None) -> UpdateReport:
    return UpdateReport(
        "0123456789abcdef", step, kind, "cam", "1.2", 7, "", cause, "because", "schedule", 1, {}
    )


STORY: dict[str, tuple[UpdateReport, Severity, str, tuple[str, ...]]] = {
    "a refused signature": (
        step(Step.REFUSED, Cause.SIGNATURE, ReleaseKind.RULES),
        Severity.HIGH, "update-signature", ("T1195.002",),
    ),
    "metadata older than before": (
        step(Step.REFUSED, Cause.OLDER),
        Severity.HIGH, "update-older", ("T1195.002",),
    ),
    "an old firmware played again": (
        step(Step.REFUSED, Cause.OLDER, ReleaseKind.FIRMWARE),
        Severity.HIGH, "update-older", ("T1195.002", "T1601.002"),
    ),
    "a repository that says nothing new": (
        step(Step.REFUSED, Cause.FREEZE),
        Severity.MEDIUM, "update-freeze", ("T1195.002",),
    ),
    "metadata that do not belong together": (
        step(Step.REFUSED, Cause.MIX_UP),
        Severity.HIGH, "update-mix-up", ("T1195.002",),
    ),
    "a model that is not what was signed": (
        step(Step.REFUSED, Cause.CONTENT, ReleaseKind.MODEL),
        Severity.HIGH, "update-content", ("T1195.002", "AML.T0010.003"),
    ),
    "a model whose golden test fails": (
        step(Step.REFUSED, Cause.GOLDEN, ReleaseKind.MODEL),
        Severity.HIGH, "update-golden", ("AML.T0018.000",),
    ),
    "a model that breaches its envelope": (
        step(Step.ROLLED_BACK, Cause.ENVELOPE, ReleaseKind.MODEL),
        Severity.HIGH, "update-envelope", ("AML.T0031",),
    ),
    "a firmware that did badly": (
        step(Step.ROLLED_BACK, Cause.HEALTH, ReleaseKind.FIRMWARE),
        Severity.HIGH, "update-health", (),
    ),
    "provenance that is not enough": (
        step(Step.REFUSED, Cause.PROVENANCE, ReleaseKind.RULES),
        Severity.HIGH, "update-provenance", ("T1195.001",),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("report", "severity", "condition", "uids"), STORY.values(), ids=STORY)
def test_what_is_wrong_is_an_incident_with_its_technique(
    report: UpdateReport, severity: Severity, condition: str, uids: tuple[str, ...]
) -> None:
    found = updates.judge(report)
    assert (found.severity, found.condition) == (severity, condition)
    objects: Any = attack.attacks(found.tags)
    named = [
        one.get("sub_technique", one["technique"])["uid"] for one in objects if "technique" in one
    ]
    assert tuple(named) == uids


@pytest.mark.parametrize(
    "report",
    [
        *(step(one) for one in Step if one not in {Step.REFUSED, Step.ROLLED_BACK}),
        step(Step.DEFERRED, Cause.ROLLOUT),
        step(Step.REFUSED, Cause.NEEDS),
        step(Step.ROLLED_BACK, Cause.OPERATOR),
        step(Step.REFUSED, Cause.FETCH),
    ],
    ids=lambda report: f"{report.step} {report.cause}",
)
def test_the_ordinary_course_is_no_incident(report: UpdateReport) -> None:
    assert not updates.judge(report).condition
    assert updates.judge(report).severity <= Severity.LOW


def test_an_entry_is_a_message_under_up_update_that_is_not_put_off() -> None:
    report = step(Step.VERIFIED, kind=ReleaseKind.RULES)
    draft = updates.draft(
        report, updates.judge(report), device="cam-7", tenant="acme", wall_s=1_800_000_000.0
    )
    assert (draft.kind, draft.topic, draft.is_routine) == ("update", "up/update", False)
    found = strict_json.parse(draft.body, max_bytes=len(draft.body))
    assert parse_document(found) == (report, Severity.INFORMATIONAL)


def test_an_incident_of_a_step_names_what_it_was_about() -> None:
    found = updates.fields(step(Step.REFUSED, Cause.SIGNATURE, ReleaseKind.RULES))
    assert found == {
        "Action": "refused", "Target": "rules cam 1.2 (counter 7)", "Reason": "because",
        "By": "schedule",
    }  # fmt: skip
