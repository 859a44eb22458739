"""What belongs to the evidence of an incident, and how it is kept within its bounds.

Rule 1: the reports of the incident say which processes and files it is about; descendants are as
the process table knows them.
Rule 2: texts pass the redactor of the rules in use; environments are never looked at.
Rule 3: what is left out for want of room is said: journal first, contents of files next, then all
reports but the first and the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from vedette.codec import strict_json
from vedette.codec.evidence import MAX_DOCUMENT_BYTES
from vedette.codec.strict_json import Json
from vedette.core.process_table import ROOTS, Process, ProcessTable
from vedette.errors import ParseError
from vedette.model.journal import Entry
from vedette.model.process import ProcessKey

MAX_REPORTS = 8
MAX_PROCESSES = 64
MAX_PATHS = 8
MAX_EXCERPT = 200
MAX_EXCERPT_BODY = 4096
AROUND_S = 60.0
"""Entries of the journal so long before the first and after the newest report belong to it."""
_MAX_CHAIN = 16


class Subjects(NamedTuple):
    """What an incident is about: its processes, ancestors included, and files, each once."""

    processes: tuple[ProcessKey, ...]
    paths: tuple[str, ...]


def subjects(reports: Iterable[Json], table: ProcessTable) -> Subjects:
    """What to look at.

    Args:
        reports: documents of the incident (codec/ocsf.py); others say nothing.
        table: adds descendants of the processes that were found, not those of their ancestors.
    """
    keys: dict[ProcessKey, None] = {}
    paths: dict[str, None] = {}
    for report in reports:
        chain = list(_chain(report))
        keys.update(dict.fromkeys(key for key, _ in chain))
        paths.update(dict.fromkeys(path for path in _paths(report, chain[:1])))
        for key, _ in chain[:1]:
            keys.update(dict.fromkeys(_descendants(key, table)))
    return Subjects(tuple(keys)[:MAX_PROCESSES], tuple(paths)[:MAX_PATHS])


def known_process(key: ProcessKey, table: ProcessTable) -> Process | None:
    """The process of the table that is this one, or None."""
    process = table.get(key.pid)
    if process is None or (process.start_ticks and process.start_ticks != key.start_ticks):
        return None
    return process


def chosen_reports(entries: Sequence[Entry], incident_id: str) -> list[Entry]:
    """The first report of an incident and the newest, oldest first.

    Args:
        entries: newest first, as the journal gives them.
    """
    found = [
        entry
        for entry in reversed(entries)
        if entry.draft.kind == "incident" and entry.draft.incident_id == incident_id
    ]
    if len(found) <= MAX_REPORTS:
        return found
    return [found[0], *found[-(MAX_REPORTS - 1) :]]


def excerpt(
    entries: Sequence[Entry], reports: Sequence[Entry], redact: Callable[[str], str]
) -> list[Json]:
    """Entries of the journal about the incident or around it, oldest first.

    Args:
        entries: newest first; reports of incidents are left out, its own are given whole elsewhere.
        reports: of the incident, oldest first, one at least.
        redact: takes secrets out.
    """
    incident_id = reports[0].draft.incident_id
    begins_s = reports[0].draft.wall_s - AROUND_S
    ends_s = reports[-1].draft.wall_s + AROUND_S
    chosen = [
        entry
        for entry in entries
        if entry.draft.kind != "incident"
        and (entry.draft.incident_id == incident_id or begins_s <= entry.draft.wall_s <= ends_s)
    ]
    return [_shown(entry, redact) for entry in chosen[:MAX_EXCERPT][::-1]]


def fitting(document: Mapping[str, Json], most_bytes: int = MAX_DOCUMENT_BYTES) -> dict[str, Json]:
    """The document within its bound; "left_out" names what had to go."""
    kept = dict(document)
    left_out: list[Json] = []
    for name, shrink in _STEPS:
        if _size(kept) <= most_bytes:
            break
        kept[name] = shrink(kept.get(name))
        if f"some of {name}" not in left_out:
            left_out.append(f"some of {name}")
        kept["left_out"] = left_out
    return kept


def _chain(report: Json) -> Iterable[tuple[ProcessKey, str]]:
    process = _at(_first(_at(report, "evidences")), "process")
    for _ in range(_MAX_CHAIN):
        if not isinstance(process, dict):
            return
        key = _key(process.get("uid"))
        path = _at(process.get("file"), "path")
        if key is not None:
            yield key, path if isinstance(path, str) else ""
        process = process.get("parent_process")


def _paths(report: Json, nearest: Sequence[tuple[ProcessKey, str]]) -> Iterable[str]:
    written = _at(_at(_first(_at(report, "evidences")), "file"), "path")
    for path in (written, *(image for _, image in nearest)):
        if isinstance(path, str) and path.startswith("/"):
            yield path


def _descendants(key: ProcessKey, table: ProcessTable) -> Iterable[ProcessKey]:
    if key.pid in ROOTS:
        return  # everything descends from them
    if known_process(key, table) is not None:
        for process in table.descendants(key.pid):
            yield ProcessKey(process.pid, process.start_ticks)


def _key(uid: Json) -> ProcessKey | None:
    pid, _, ticks = uid.partition("/") if isinstance(uid, str) else ("", "", "")
    if not (pid.isascii() and pid.isdigit() and ticks.isascii() and ticks.isdigit()):
        return None
    return ProcessKey(int(pid[:10]), int(ticks[:20]))


def _shown(entry: Entry, redact: Callable[[str], str]) -> Json:
    draft = entry.draft
    text = draft.body[: MAX_EXCERPT_BODY + 1].decode("utf-8", "replace")
    return {
        "epoch": entry.epoch,
        "index": entry.index,
        "kind": draft.kind,
        "severity": int(draft.severity),
        "wall_ms": round(draft.wall_s * 1000),
        "incident": draft.incident_id,
        "body": redact(text[:MAX_EXCERPT_BODY]),
        "is_whole": len(draft.body) <= MAX_EXCERPT_BODY,
    }


def parsed(entry: Entry) -> Json:
    """The body of an entry; None where it is damaged."""
    try:
        return strict_json.parse(entry.draft.body, max_bytes=len(entry.draft.body))
    except ParseError:
        return None


def _size(document: Mapping[str, Json]) -> int:
    return len(strict_json.canonical(dict(document)))


def _newest_half(value: Json) -> Json:
    return value[len(value) // 2 :] if isinstance(value, list) else value


def _first_and_last(value: Json) -> Json:
    return [value[0], value[-1]] if isinstance(value, list) and value else value


def _without_contents(value: Json) -> Json:
    if not isinstance(value, list):
        return value
    return [
        {name: part for name, part in item.items() if name != "content"}
        for item in value
        if isinstance(item, dict)
    ]


def _nothing(_value: Json) -> Json:
    return []


_STEPS: tuple[tuple[str, Callable[[Json], Json]], ...] = (
    ("journal", _newest_half),
    ("journal", _nothing),
    ("files", _without_contents),
    ("reports", _first_and_last),
    ("processes", _newest_half),
    ("processes", _nothing),
    ("files", _nothing),
    ("reports", _nothing),
)


def _at(value: Json, name: str) -> Json:
    return value.get(name) if isinstance(value, dict) else None


def _first(value: Json) -> Json:
    return value[0] if isinstance(value, list) and value else None
