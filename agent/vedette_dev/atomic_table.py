"""The figures of a corpus as a page for people: techniques and counts, none of its text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vedette_dev.performance import Verdict

OUTCOMES = ("detected", "not visible", "missed")


def summary(verdicts: Sequence[Verdict]) -> str:
    """One line."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    same = sum(has_technique(verdict) for verdict in verdicts)
    parts = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
    return f"{len(verdicts)} commands: {parts}; {same} by a rule of the same technique"


def has_technique(verdict: Verdict) -> bool:
    """Whether one of its findings names its technique, or the technique above it."""
    wanted = verdict.command.technique.lower().partition(".")[0]
    return any(
        tag.startswith(f"attack.{wanted}") for finding in verdict.findings for tag in finding.tags
    )


def document(verdicts: Sequence[Verdict], tiers: Mapping[str, str]) -> dict[str, Any]:
    """As JSON."""
    return {
        "tiers": dict(tiers),
        "summary": summary(verdicts),
        "commands": [
            {
                "number": verdict.command.number,
                "technique": verdict.command.technique,
                "outcome": verdict.outcome,
                "reason": verdict.reason,
                "rules": sorted(finding.title for finding in verdict.findings),
            }
            for verdict in verdicts
        ],
    }


def page(verdicts: Sequence[Verdict], tiers: Mapping[str, str]) -> str:
    """As Markdown."""
    used = ", ".join(f"{name} {tier}" for name, tier in sorted(tiers.items()))
    lines = [
        "# Atomic Red Team, Linux",
        "",
        "Written by `make atomic`: each command of the corpus runs as root in a throwaway root of",
        "its own, without network, beside a running agent. No rule holds text of the corpus.",
        "",
        f"**{summary(verdicts)}.** Tiers: {used}.",
        "",
        "| technique | commands | detected | not visible | missed | rules that told it |",
        "|---|---|---|---|---|---|",
    ]
    techniques = sorted({verdict.command.technique for verdict in verdicts})
    lines += (_row(technique, verdicts) for technique in techniques)
    lines += ["", "Not visible:", ""]
    reasons = Counter(verdict.reason for verdict in verdicts if verdict.reason)
    lines += (f"- {count}: {reason}" for reason, count in sorted(reasons.items()))
    return "\n".join(lines) + "\n"


def _row(technique: str, verdicts: Sequence[Verdict]) -> str:
    own = [verdict for verdict in verdicts if verdict.command.technique == technique]
    counts = Counter(verdict.outcome for verdict in own)
    rules = sorted({finding.title for verdict in own for finding in verdict.findings})
    cells = [technique, str(len(own)), *(str(counts[outcome] or "") for outcome in OUTCOMES)]
    return f"| {' | '.join([*cells, ', '.join(rules)])} |"
