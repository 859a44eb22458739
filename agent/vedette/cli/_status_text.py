"""The running agent's status as a person reads it; pure functions over its answer.

Rule: the answer is another process's: what is missing or of another type is shown as "?".
"""

from __future__ import annotations

from collections.abc import Callable

from vedette.cli import _defence_text
from vedette.cli._terminal import BOLD, GREEN, GREY, RED, YELLOW, Painter, columns
from vedette.codec.strict_json import Json
from vedette.codec.text import escape, human_age, human_size

Table = dict[str, Json]
_DOWN = "uplink-down"
MAX_MUTED = 3


def render(answer: Table, painter: Painter) -> list[str]:
    """The whole status, in lines."""
    return [
        *_head(answer, painter),
        "",
        *_section("sources", _tiers(answer, painter), painter),
        *_section("rules, profile, defence, journal, uplink", _parts(answer, painter), painter),
        *_section("events: in, out, dropped", _ledger(answer, painter), painter),
        "why a source is no better: vedette doctor     what happened: vedette incidents list",
    ]


def is_well(answer: Table) -> bool:
    """Whether nothing in the status asks for a person."""
    blind = [row for row in _rows(answer, "tiers") if not row.get("tier")]
    lost = [row for row in _rows(answer, "ledger") if _figure(row, "dropped") or row.get("losses")]
    journal, uplink = _table(answer, "journal"), _table(answer, "uplink")
    is_cut_off = uplink.get("state") == "down" or bool(uplink.get("conditions"))
    profile = _table(answer, "profile")
    is_unused = profile.get("state") == "stale" or bool(profile.get("reason"))
    is_down = any(row.get("up") is False for row in _rows(_table(answer, "essential"), "functions"))
    is_less = is_unused or is_down or journal.get("degraded") or is_cut_off or _no_rules(answer)
    return not (blind or lost or is_less)


def _head(answer: Table, painter: Painter) -> list[str]:
    memory = _table(answer, "memory")
    name = f"{_shown(answer, 'tenant')}/{_shown(answer, 'device')}"
    pss = _amount(memory, "pss_kb", lambda kb: human_size(int(kb * 1024)))
    parts = [
        f"vedette {_shown(answer, 'version')}",
        f"up {_amount(answer, 'uptime_s', human_age)}",
        f"pid {_shown(answer, 'pid')}",
        f"{pss} of memory (sentinel, PSS)",
        f"{_shown(answer, 'incidents_open')} open incident(s)",
    ]
    return [painter.paint(name, BOLD) + "  " + escape(", ".join(parts))]


def _section(title: str, lines: list[str], painter: Painter) -> list[str]:
    return [painter.paint(title, BOLD), *(lines or ["  nothing yet"]), ""]


def _tiers(answer: Table, painter: Painter) -> list[str]:
    rows = []
    for row in _rows(answer, "tiers"):
        tier = row.get("tier")
        shown = painter.paint(str(tier), GREEN) if tier else painter.paint("nothing", RED)
        misses = row.get("misses")
        count = len(misses) if isinstance(misses, list) else 0
        what = escape(_shown(row, "sees")) if tier else "not watched"
        note = f"misses {count} kind(s)" if tier and count else ""
        rows.append([escape(_shown(row, "class")), shown, what, painter.paint(note, GREY)])
    return columns(rows, indent="  ")


def _parts(answer: Table, painter: Painter) -> list[str]:
    rules, journal = _table(answer, "rules"), _table(answer, "journal")
    rows = [
        ["rules", _rules(rules, painter)],
        ["profile", _profile(_table(answer, "profile"), painter)],
        ["learning", escape(_learning(_table(answer, "learning")))],
        ["defence", _defence_text.line(_table(answer, "defence"), painter)],
        ["essential", _essential(_table(answer, "essential"), painter)],
        ["journal", _journal(journal, painter)],
        ["uplink", _uplink(_table(answer, "uplink"), journal, painter)],
    ]
    return columns(rows, indent="  ")


def _essential(essential: Table, painter: Painter) -> str:
    functions = _rows(essential, "functions")
    if not functions:
        return painter.paint("nothing declared: no response is judged by what it breaks", GREY)
    down = [row for row in functions if row.get("up") is False]
    shown = f"{len(functions) - len(down)} of {len(functions)} work"
    for row in down:
        words = f"; {_shown(row, 'name')} does not: {_shown(row, 'detail')}"
        shown += painter.paint(escape(words), RED)
    problem = essential.get("problem")
    return shown + (painter.paint(escape(f"; {problem}"), YELLOW) if problem else "")


def _rules(rules: Table, painter: Painter) -> str:
    words = f"{_shown(rules, 'rules')} of bundle {_shown(rules, 'bundle')}"
    shown = escape(f"{words}, counter {_shown(rules, 'counter')}")
    if not rules.get("rules"):
        shown = painter.paint("none: nothing can be found", RED)
    muted = _rows(rules, "muted")
    if muted:
        names = ", ".join(str(row.get("title")) for row in muted[:MAX_MUTED])
        more = f" and {len(muted) - MAX_MUTED} more" if len(muted) > MAX_MUTED else ""
        shown += "; " + painter.paint(f"muted for a while: {names}{more}", YELLOW)
    return _with_reason(shown, rules, painter)


def _profile(profile: Table, painter: Painter) -> str:
    state = _shown(profile, "state")
    if state == "none":
        return _with_reason(painter.paint("none", GREY), profile, painter)
    shown = painter.paint(state, GREEN if state == "in force" else YELLOW)
    words = f": {_shown(profile, 'name')}, counter {_shown(profile, 'counter')}"
    left = f", {_shown(profile, 'drift')} thing(s) left it: vedette profile drift"
    shown += escape(words + (left if _figure(profile, "drift") else ""))
    if profile.get("expired"):
        shown += "; " + painter.paint("past its date", YELLOW)
    return _with_reason(shown, profile, painter)


def _learning(run: Table) -> str:
    state = _shown(run, "state")
    if state == "none":
        return "off"
    done, wanted = _amount(run, "elapsed_s", human_age), _amount(run, "wanted_s", human_age)
    words = f"{state}, {done} of {wanted}"
    return (
        f"{words}; some of it had no room: vedette learn status" if run.get("left_out") else words
    )


def _journal(journal: Table, painter: Painter) -> str:
    used = _amount(journal, "bytes_used", lambda size: human_size(int(size)))
    limit = _amount(journal, "bytes_limit", lambda size: human_size(int(size)))
    words = f"{_shown(journal, 'size')} entries in epoch {_shown(journal, 'epoch')}, "
    shown = escape(f"{words}{used} of {limit}, {_shown(journal, 'dropped')} dropped")
    if journal.get("degraded"):
        shown += "; " + painter.paint("in memory only", RED)
    return _with_reason(shown, journal, painter)


def _uplink(uplink: Table, journal: Table, painter: Painter) -> str:
    state = _shown(uplink, "state")
    colour = {"up": GREEN, "off": GREY}.get(state, YELLOW)
    waiting = f", {_shown(journal, 'pending')} waiting, delivered up to "
    if state == "off":
        alone = "off: incidents stay on this device; vedette enroll --broker adds one"
        return _with_reason(painter.paint(alone, colour), uplink, painter)
    words = escape(f"{waiting}{_shown(uplink, 'delivered')}, {_spent(uplink)}")
    shown = _with_reason(painter.paint(state, colour) + words, uplink, painter)
    for name, detail in _table(uplink, "conditions").items():
        if name != _DOWN:  # said by the reason already
            shown += "; " + painter.paint(f"{name}: {detail}", YELLOW)
    return shown


def _spent(uplink: Table) -> str:
    spent = _amount(uplink, "spent_bytes", lambda size: human_size(int(size)))
    if not _figure(uplink, "budget_bytes"):
        return f"{spent} sent today"
    limit = _amount(uplink, "budget_bytes", lambda size: human_size(int(size)))
    return f"{spent} of {limit} sent today"


def _with_reason(shown: str, table: Table, painter: Painter) -> str:
    reason = table.get("reason")
    if not isinstance(reason, str) or not reason:
        return shown
    return f"{shown}; {painter.paint(reason, YELLOW)}"


def _ledger(answer: Table, painter: Painter) -> list[str]:
    rows = []
    for row in _rows(answer, "ledger"):
        dropped, losses = _shown(row, "dropped"), _figure(row, "losses")
        is_less = bool(_figure(row, "dropped") or losses)
        note = f"{losses:.0f} loss(es)" if losses else ""
        rows.append(
            [
                escape(_shown(row, "stage")),
                escape(_shown(row, "class")),
                _shown(row, "in"),
                _shown(row, "out"),
                painter.paint(dropped, YELLOW) if is_less else dropped,
                painter.paint(note, YELLOW),
            ]
        )
    return columns(rows, indent="  ", right=frozenset({2, 3, 4}))


def _no_rules(answer: Table) -> bool:
    return not _figure(_table(answer, "rules"), "rules")


def _table(answer: Table, name: str) -> Table:
    value = answer.get(name)
    return value if isinstance(value, dict) else {}


def _rows(answer: Table, name: str) -> list[Table]:
    value = answer.get(name)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _shown(table: Table, name: str) -> str:
    value = table.get(name)
    return "?" if value is None or isinstance(value, list | dict) else escape(str(value))


def _figure(table: Table, name: str) -> float:
    value = table.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _amount(table: Table, name: str, show: Callable[[float], str]) -> str:
    value = table.get(name)
    return show(float(value)) if isinstance(value, int | float) else "?"
