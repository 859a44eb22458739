"""Lines of `vedette fleet watch`: one for each note, safe to show and quick to read."""

from __future__ import annotations

import time
from typing import Any

from vedette.codec import update_report
from vedette.codec.report import Link, Report
from vedette.codec.text import escape, shorten
from vedette.core.fleet import Kind, Note
from vedette.model.finding import Severity

RESET = "\x1b[0m"
COLOURS = {
    Severity.INFORMATIONAL: "\x1b[2m",
    Severity.LOW: "\x1b[36m",
    Severity.MEDIUM: "\x1b[33m",
    Severity.HIGH: "\x1b[31m",
    Severity.CRITICAL: "\x1b[1;37;41m",
}
WARNING = "\x1b[35m"
ALARMING = frozenset(
    (
        Kind.BAD_SIGNATURE, Kind.UNKNOWN_DEVICE, Kind.GAP, Kind.SILENT, Kind.UNREADABLE,
        Kind.REPLAYED, Kind.MISSED, Kind.RESTARTED, Kind.CHAIN,
    )
)  # fmt: skip
"""What is shown in colour although it is no incident; all others are said quietly."""

_COMMAND_WIDTH = 100
_WHAT_WIDTH = 80
_WHAT = (
    "TargetFilename", "DestinationHostname", "DestinationIp", "QueryName", "Target", "Port",
    "Message", "Reason",
)  # fmt: skip
"""What the process did it to, or what happened where there is no process; best first."""
_MAX_LINKS = 4
_WORD = 8


def text(note: Note, now_s: float, *, is_coloured: bool) -> str:
    """One line without its line break.

    Args:
        note: from core.fleet.
        now_s: Unix time at which it arrived.
        is_coloured: with ANSI sequences around the severity.
    """
    if note.incident is not None:
        return _incident(note, note.incident, is_coloured=is_coloured)
    line = f"{_clock(now_s)}  {note.kind:<{_WORD}}  {_who(note)}"
    line += f"  #{note.sequence}" if note.sequence else ""
    line += f"  {escape(note.detail)}"
    if is_coloured:
        colour = WARNING if note.kind in ALARMING else COLOURS[note.severity]
        return f"{colour}{line}{RESET}"
    return line


def document(note: Note, now_s: float) -> dict[str, Any]:
    """The same for programs."""
    found: dict[str, Any] = {
        "kind": str(note.kind),
        "tenant": note.tenant,
        "device": note.device,
        "sequence": note.sequence,
        "detail": note.detail,
        "received": round(now_s, 3),
    }
    if note.update is not None:
        found["update"] = update_report.plain(note.update)
        found["severity"] = note.severity.name.lower()
    if note.incident is not None:
        incident = note.incident._asdict()
        incident["severity"] = note.incident.severity.name.lower()
        incident["chain"] = [link._asdict() for link in note.incident.chain]
        incident["fields"] = dict(note.incident.fields)
        incident["count"] = incident.pop("times")
        found["incident"] = incident
    return found


def _incident(note: Note, incident: Report, *, is_coloured: bool) -> str:
    severity = incident.severity.name
    word = "INFO" if incident.severity is Severity.INFORMATIONAL else severity
    word = f"{word:<{_WORD}}"
    if is_coloured:
        word = f"{COLOURS[incident.severity]}{word}{RESET}"
    parts = [_title(incident)]
    if incident.chain:
        parts.append(_chain(incident.chain))
    if what := _what(dict(incident.fields)):
        parts.append(what)
    parts.append(f"by {escape(incident.tier) or '?'}")
    parts.append(", ".join(escape(action) for action in incident.actions) or "observed")
    if incident.times > 1:
        parts.append(f"x{incident.times}")
    if incident.losses:
        parts.append(f"lost: {escape('; '.join(incident.losses))}")
    if incident.is_reduced:
        parts.append(f"reduced, whole is {escape(incident.whole_sha256[:12])} in its journal")
    return f"{_clock(incident.time_ms / 1000)}  {word}  {_who(note)}  " + " · ".join(parts)


def _title(incident: Report) -> str:
    title = escape(incident.title)
    return title if incident.status == "created" else f"{title} ({incident.status})"


def _what(fields: dict[str, str]) -> str:
    name = next((name for name in _WHAT if fields.get(name)), "")
    if not name:
        return ""
    words = [fields.get("Action", ""), fields[name]] if name == "TargetFilename" else [fields[name]]
    return shorten(escape(" ".join(word for word in words if word)), _WHAT_WIDTH)


def _chain(chain: tuple[Link, ...]) -> str:
    """Oldest first, as it happened; of the process itself the command line."""
    shown = [escape(link.image.rpartition("/")[2] or link.image or "?") for link in chain]
    ancestors = shown[1:_MAX_LINKS]
    if len(shown) > _MAX_LINKS:
        ancestors.append("…")
    nearest = chain[0]
    command = escape(nearest.command_line) or shown[0]
    words = [*reversed(ancestors), f"{shorten(command, _COMMAND_WIDTH)} [{nearest.pid}]"]
    return " > ".join(words)


def _who(note: Note) -> str:
    return escape(f"{note.tenant}/{note.device}" if note.device else "?")


def _clock(wall_s: float) -> str:
    try:
        return time.strftime("%H:%M:%S", time.localtime(wall_s))
    except (OverflowError, ValueError, OSError):
        return "??:??:??"
