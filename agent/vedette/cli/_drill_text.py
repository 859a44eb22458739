"""Drills as a person reads them; pure functions over the sentinel's answers.

Rule: the answer is another process's: what is missing or of another type is shown as "?".
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from vedette.cli._terminal import BOLD, GREEN, GREY, RED, YELLOW, Painter, columns
from vedette.codec.strict_json import Json
from vedette.codec.text import escape

_WORDS = {
    "process_creation": "a program was started",
    "kernel_activity": "a guarded call was made",
    "file_event": "a file was made",
    "network_connection": "a connection was opened",
    "listener_opened": "a port was opened",
    "service": "a line was logged",
    "dns_query": "a name was asked",
    "correlation": "two matches were joined",
}
_COLOURS = {"seen": GREEN, "missed": RED}


def report(answer: Mapping[str, Json], painter: Painter) -> list[str]:
    """One drill, in lines."""
    lines = [painter.paint("drill", BOLD) + f"  took {_text(answer, 'took_ms')} ms"]
    lines += [
        f"  {line}" for line in columns([_step(row, painter) for row in _rows(answer, "steps")])
    ]
    lines += ["", painter.paint("responses, planned and not done", BOLD)]
    rows = [_response(row, painter) for row in _rows(answer, "responses")]
    lines += [f"  {line}" for line in columns(rows)] or ["  none"]
    every = answer.get("every_m")
    when = f"every {every} min" if isinstance(every, int) and every else "only when asked"
    return [*lines, "", painter.paint(f"the agent drills itself {when} ([drill] every_m)", GREY)]


def is_well(answer: Mapping[str, Json]) -> bool:
    """Whether all that was expected was seen, and its rules matched."""
    steps = _rows(answer, "steps")
    is_missed = any(row.get("state") == "missed" for row in steps)
    is_unruled = any(row.get("state") == "seen" and not row.get("rule") for row in steps)
    return bool(steps) and not (is_missed or is_unruled)


def history(answer: Mapping[str, Json], painter: Painter) -> list[str]:
    """The newest drills, one line each."""
    rows = [["when (UTC)", "asked by", "seen", "missed", "not ready"]]
    rows += [_past(row, painter) for row in _rows(answer, "drills")]
    return columns(rows) if len(rows) > 1 else ["no drill yet: vedette drill"]


def were_well(answer: Mapping[str, Json]) -> bool:
    """Whether none of them missed anything."""
    return not any(row.get("missed") or row.get("unmatched") for row in _rows(answer, "drills"))


def _step(row: Mapping[str, Json], painter: Painter) -> list[str]:
    state, step = _text(row, "state"), _text(row, "step")
    rule = row.get("rule")
    told = f"by {_text(row, 'tier')} after {_text(row, 'after_ms')} ms"
    if step == "correlation":
        told = "joined" if rule else "nothing to join"
    elif state == "missed":
        told = f"{_text(row, 'tier')} did not tell of it"
    elif state == "optional":
        told = "not expected: only the uplink sees names" if step == "dns_query" else "not watched"
    elif state == "not played":
        told = _text(row, "tier")
    note = ""
    if state == "seen" and not rule:
        note = painter.paint("no rule matched: are the rules of rules/drill in the bundle?", YELLOW)
    shown = painter.paint(state, _COLOURS.get(state, GREY))
    return [_WORDS.get(step, escape(step)), shown, escape(told), note]


def _response(row: Mapping[str, Json], painter: Painter) -> list[str]:
    ready = row.get("ready") is True
    shown = painter.paint("ready", GREEN) if ready else painter.paint("not ready", YELLOW)
    return [escape(_text(row, "responder")), shown, escape(_text(row, "detail"))]


def _past(row: Mapping[str, Json], painter: Painter) -> list[str]:
    wall_s = row.get("wall_s")
    is_time = isinstance(wall_s, int | float) and 0 <= wall_s < 2**40
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(float(wall_s))) if is_time else "?"  # type: ignore[arg-type] # is_time says it is a number
    seen, missed = row.get("seen"), row.get("missed")
    unready = [x for x in _rows(row, "responses") if x.get("ready") is not True]
    bad = escape(", ".join(map(str, missed))) if isinstance(missed, list) and missed else ""
    return [
        when,
        escape(_text(row, "reason")),
        str(len(seen)) if isinstance(seen, dict) else "?",
        painter.paint(bad, RED) if bad else "-",
        escape(", ".join(_text(x, "responder") for x in unready)) or "-",
    ]


def _rows(answer: Mapping[str, Json], name: str) -> list[dict[str, Json]]:
    found = answer.get(name)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def _text(row: Mapping[str, Json], name: str) -> str:
    value = row.get(name)
    return str(value) if isinstance(value, str | int | float) else "?"
