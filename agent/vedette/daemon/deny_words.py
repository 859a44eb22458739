"""What the holder's reports mean to people: findings about executions denied, or not judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from vedette.codec.holder_reports import Decision, Freed, Gap, Refused
from vedette.model.denial import (
    BY_DIGEST,
    BY_PATH,
    NO_DIGEST,
    OVERLOADED,
    QUEUE_FULL,
    TOO_BIG,
    UNLISTED,
    UNLISTED_OBSERVED,
    UNREADABLE,
    UNTOLD,
)
from vedette.model.finding import Severity

REASONS: Final[Mapping[int, str]] = {
    BY_DIGEST: "its content is denied",
    BY_PATH: "its path is denied",
    UNLISTED: "it is in neither the baseline nor the signed profile",
    UNLISTED_OBSERVED: "it is in neither the baseline nor the signed profile; those are observed",
}
GAPS: Final[Mapping[int, str]] = {
    OVERLOADED: "executed before the answer was due could be found; hashed after, as far as that "
    "was possible",
    TOO_BIG: "executed and hashed after: too big to be read while they wait",
    UNREADABLE: "executed: their content could not be read",
    QUEUE_FULL: "times the kernel's queue was full and let executions pass",
    UNTOLD: "reports of executions were left out: there were too many",
}


class Report(NamedTuple):
    """One finding about ourselves, as Shell.report takes it."""

    condition: str
    title: str
    severity: Severity
    fields: Mapping[str, str]


def of_report(report: Decision | Gap) -> Report:
    """The finding of one report."""
    if isinstance(report, Gap):
        reason = f"{report.count} {GAPS[report.reason]}"
        title = "Executions were allowed without being judged"
        return Report("exec-unjudged", title, Severity.MEDIUM, {"Reason": reason})
    fields = _fields(report)
    if report.reason == UNLISTED_OBSERVED:
        title = "A program of neither baseline nor profile was executed"
        return Report("exec-unlisted", title, Severity.MEDIUM, fields)
    if report.is_late:
        title = "A denied program ran: its content was known only after"
        return Report("exec-denied-late", title, Severity.CRITICAL, fields)
    return Report("exec-denied", "An execution was denied", Severity.HIGH, fields)


def of_end(report: Refused | Freed) -> str:
    """Why a holder ended."""
    if isinstance(report, Refused):
        return report.why
    return (
        f"{report.why}; its guardian let {report.unread + report.unanswered} waiting executions go "
        f"in {report.took_us / 1000:.1f} ms"
    )


def lost(why: str) -> Report:
    """The finding that nothing is denied for now."""
    reason = f"{why or 'it ended'}; everything could be executed until it is started again"
    return Report("holder-lost", "Executions are not judged", Severity.HIGH, {"Reason": reason})


def _fields(decision: Decision) -> dict[str, str]:
    fields = {
        "Image": decision.path,
        "ProcessId": str(decision.pid),
        "Reason": REASONS[decision.reason],
        "Count": str(decision.count),
    }
    if decision.digest != NO_DIGEST:
        fields["Hashes"] = f"SHA256={decision.digest.hex()}"
    return fields
