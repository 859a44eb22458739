"""An incident as a person reads it: one line, or all there is; pure functions."""

from __future__ import annotations

import time

from vedette.cli._terminal import BOLD, GREY, SEVERITY_COLOURS, YELLOW, Painter
from vedette.codec.report import Report
from vedette.codec.text import escape, shorten

LONGEST_SUBJECT = 100
SUBJECTS = (
    "CommandLine", "TargetFilename", "DestinationHostname", "DestinationIp", "QueryName", "Image",
    "Message",
)  # fmt: skip
"""Which field says best what a finding is about, best first."""


def line(report: Report, painter: Painter) -> str:
    """When, how bad, which rule, who did it, what was done: one line without a line break."""
    severity = painter.paint(f"{report.severity.name.lower():<8}"[:8], colour(report))
    parts = [
        painter.paint(clock(report.time_ms), GREY),
        severity,
        painter.paint(report.incident_id[:8], GREY),
        painter.paint(shorten(escape(report.title or report.rule_id), 60), BOLD),
    ]
    if report.times > 1:
        parts.append(f"x{report.times}")
    who = chain(report)
    if who:
        parts.append(who)
    about = subject(report)
    if about:
        parts.append(painter.paint(about, GREY))
    parts.append(painter.paint(f"[{report.status}; {actions(report)}]", GREY))
    if report.losses:
        parts.append(painter.paint("some events of this time were lost", YELLOW))
    return "  ".join(parts)


def details(report: Report, painter: Painter) -> list[str]:
    """All that a report says, in lines."""
    rows = [
        ("incident", report.incident_id),
        ("severity", report.severity.name.lower()),
        ("status", f"{report.status}, revision {report.revision}, {report.times} finding(s)"),
        ("time", clock(report.time_ms)),
        ("rule", f"{report.rule_id} by {report.author or 'unknown'}"),
        ("source", report.tier or "unknown"),
        ("done", actions(report)),
        *((name, value) for name, value in report.fields),
    ]
    wide = max(len(escape(name)) for name, _ in rows)
    lines = [painter.paint(report.title or report.rule_id, colour(report))]
    lines += [f"  {escape(name):<{wide}}  {escape(value)}" for name, value in rows]
    for depth, link in enumerate(report.chain):
        role = "process" if depth == 0 else "parent"
        words = escape(link.command_line or link.image or "unknown")
        lines.append(f"  {role:<{wide}}  {'  ' * depth}{words} (pid {link.pid})")
    lines += [painter.paint(f"  lost in its window: {loss}", YELLOW) for loss in report.losses]
    if report.is_reduced:
        lines.append(
            painter.paint(f"  shortened; whole on the device as {report.whole_sha256}", GREY)
        )
    return lines


def colour(report: Report) -> str:
    """The colour of a report's severity."""
    return SEVERITY_COLOURS[report.severity]


def chain(report: Report) -> str:
    """The programs from the oldest known ancestor to the process itself, escaped."""
    names = [link.image.rpartition("/")[2] or str(link.pid) for link in report.chain]
    return " > ".join(escape(name) for name in reversed(names))


def subject(report: Report) -> str:
    """What the finding is about, escaped and shortened; "" when no field says."""
    fields = dict(report.fields)
    found = next((fields[name] for name in SUBJECTS if fields.get(name)), "")
    return shorten(escape(found), LONGEST_SUBJECT)


def actions(report: Report) -> str:
    """What was done, in words."""
    return ", ".join(report.actions) or "nothing done"


def clock(time_ms: int) -> str:
    """Local time as ISO 8601 without a zone; "unknown time" where it cannot be one."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_ms / 1000))
    except (OverflowError, OSError, ValueError):
        return "unknown time"
