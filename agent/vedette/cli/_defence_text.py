"""How defence stands, for `status` and `doctor`; pure functions over the agent's answer.

Rule: the answer is another process's: what is missing or of another type is shown as "?".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vedette.cli._terminal import GREEN, GREY, YELLOW, Painter
from vedette.codec.strict_json import Json
from vedette.codec.text import escape
from vedette.daemon.health import Fact

Table = Mapping[str, Json]


def line(defence: Table, painter: Painter) -> str:
    """One line for `status`."""
    playbooks = _table(defence, "playbooks")
    reason = _word(playbooks, "reason")
    if not playbooks.get("count"):
        shown = painter.paint("no playbooks: nothing is answered by itself", GREY)
    else:
        names = _texts(defence, "enforcing")
        mode = painter.paint(f"{len(names)} enforce", GREEN) if names else "all observe"
        if _word(defence, "mode") == "observe":
            mode = painter.paint("all observe: [response] mode", YELLOW)
        shown = f"{escape(_word(playbooks, 'count'))} playbooks, {mode}"
        if not _word(defence, "profile"):
            shown += "; " + painter.paint("no profile for this device's class: all observe", YELLOW)
    active = defence.get("active")
    if active:
        shown += "; " + painter.paint(f"{active} in force: vedette responses list", YELLOW)
    return f"{shown}; {painter.paint(reason, YELLOW)}" if reason else shown


def facts(answer: Table) -> Iterator[Fact]:
    """What `doctor` tells of it."""
    defence = _table(answer, "defence")
    if not defence:
        return
    playbooks = _table(defence, "playbooks")
    reason = _word(playbooks, "reason")
    count = f"{_word(playbooks, 'count')}, {len(_texts(defence, 'enforcing'))} may enforce"
    words = count if playbooks.get("count") else "none: nothing is answered by itself"
    yield Fact("playbooks", is_good=not reason, found=words, advice=reason)
    rows = defence.get("responders")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            why = _word(row, "reason")
            found = f"not here: {why}" if why else "ready"
            yield Fact(f"response {_word(row, 'name')}", is_good=True, found=found)


def _table(table: Table, name: str) -> Table:
    value = table.get(name)
    return value if isinstance(value, dict) else {}


def _word(table: Table, name: str) -> str:
    value = table.get(name)
    return "?" if value is None or isinstance(value, list | dict) else str(value)


def _texts(table: Table, name: str) -> list[str]:
    value = table.get(name)
    return [str(one) for one in value] if isinstance(value, list) else []
