"""The doctor's report: values, verdict and text; pure functions."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from vedette.cli._terminal import BOLD, GREEN, RED, YELLOW, Painter, columns
from vedette.codec.strict_json import Json
from vedette.codec.text import escape
from vedette.daemon.health import Fact
from vedette.model.event import EventClass
from vedette.model.tier import TierReport

GOOD, DEGRADED, BLIND = 0, 1, 2
VERDICTS = ("GOOD", "DEGRADED", "BLIND")
VITAL = frozenset({EventClass.PROCESS, EventClass.FILE, EventClass.NETWORK})
WIDTH = 100


class Failure(NamedTuple):
    """A better source that does not work here, and what would change that."""

    tier: str
    reason: str
    lift: tuple[str, ...]


class ClassReport(NamedTuple):
    """Where one class of events stands; `tier` is "" when nothing watches it."""

    event_class: str
    tier: str
    sees: str
    misses: tuple[str, ...]
    failures: tuple[Failure, ...]


class Diagnosis(NamedTuple):
    """All that the doctor found; `origin` says who was asked."""

    origin: str
    classes: tuple[ClassReport, ...]
    facts: tuple[Fact, ...]


def verdict(diagnosis: Diagnosis) -> int:
    """The exit code: BLIND where a vital class has no source, DEGRADED where anything is less."""
    watched = {report.event_class for report in diagnosis.classes if report.tier}
    if not watched >= VITAL:
        return BLIND
    is_less = any(report.failures or not report.tier for report in diagnosis.classes)
    return DEGRADED if is_less or not all(fact.is_good for fact in diagnosis.facts) else GOOD


def from_answer(tiers: Json) -> tuple[ClassReport, ...]:
    """Classes from what the running sentinel answered; what is not of that shape is left out."""
    rows = tiers if isinstance(tiers, list) else []
    return tuple(_from_row(row) for row in rows if isinstance(row, dict))


def profile_facts(answer: dict[str, Json]) -> tuple[Fact, ...]:
    """Profile, learning run and guard, from what the running sentinel answered."""
    profile, run = _table(answer, "profile"), _table(answer, "learning")
    found = [_profile_fact(profile)] if profile else []
    if run.get("state") == "learning":
        words = f"{run.get('elapsed_s')} of {run.get('wanted_s')} s; what it sees is trusted"
        found.append(Fact("learning", is_good=True, found=words))
    return (*found, *_guard_facts(answer))


def _guard_facts(answer: dict[str, Json]) -> list[Fact]:
    """What of the agent itself is only compared every ten seconds, and not watched."""
    lacks = _table(answer, "guard").get("lacks")
    lines = [line for line in lacks if isinstance(line, str)] if isinstance(lacks, list) else []
    advice = "run as root, on a kernel with CONFIG_FANOTIFY: nobody is named who tampers with it"
    return [Fact("guard", is_good=False, found=line, advice=advice) for line in lines]


def _profile_fact(profile: dict[str, Json]) -> Fact:
    state, reason = _word(profile, "state"), _word(profile, "reason")
    if state == "none":
        words = "none: nothing is held against what this device usually does"
        advice = f"{reason}: see vedette status" if reason else ""
        return Fact("profile", is_good=not reason, found=words, advice=advice)
    if state == "stale":
        advice = f"{reason}: learn it again (vedette learn start) and have it signed"
        return Fact("profile", is_good=False, found="of another firmware, not used", advice=advice)
    words = f"{_word(profile, 'name')} of {_word(profile, 'firmware')} is in force"
    advice = "have a newer one signed: its date has passed" if profile.get("expired") else reason
    return Fact("profile", is_good=not advice, found=words, advice=advice)


def from_reports(
    reports: Sequence[TierReport], lifts: dict[tuple[str, str], tuple[str, ...]]
) -> tuple[ClassReport, ...]:
    """Classes from a probe.

    Args:
        reports: one for each class.
        lifts: by (class, tier name), what would lift the device to that tier.
    """
    return tuple(
        ClassReport(
            event_class=report.event_class,
            tier=report.tier.name if report.tier else "",
            sees=report.tier.sees if report.tier else "",
            misses=report.tier.misses if report.tier else ("everything",),
            failures=tuple(
                Failure(name, reason, lifts.get((report.event_class, name), ()))
                for name, reason in report.failures
            ),
        )
        for report in reports
    )


def to_json(diagnosis: Diagnosis) -> dict[str, Json]:
    """The report for programs."""
    return {
        "verdict": VERDICTS[verdict(diagnosis)].lower(),
        "origin": diagnosis.origin,
        "classes": [
            {
                "class": report.event_class,
                "tier": report.tier,
                "sees": report.sees,
                "misses": list(report.misses),
                "failures": [
                    {"tier": name, "reason": reason, "lift": list(lift)}
                    for name, reason, lift in report.failures
                ],
            }
            for report in diagnosis.classes
        ],
        "facts": [
            {"name": name, "good": is_good, "found": found, "advice": advice}
            for name, is_good, found, advice in diagnosis.facts
        ],
    }


def render(diagnosis: Diagnosis, painter: Painter) -> list[str]:
    """The report for people, in lines."""
    lines = [painter.paint(f"what watches this device ({diagnosis.origin})", BOLD)]
    for report in diagnosis.classes:
        lines += ["", *_class_lines(report, painter)]
    lines += ["", painter.paint("what else matters", BOLD), *_fact_lines(diagnosis, painter), ""]
    return [*lines, _conclusion(diagnosis, painter)]


def _class_lines(report: ClassReport, painter: Painter) -> list[str]:
    colour = (YELLOW if report.failures else GREEN) if report.tier else RED
    head = f"{escape(report.event_class):<9}" + painter.paint(report.tier or "nothing", colour)
    lines = [head]
    lines += _wrapped("sees", report.sees) if report.sees else []
    for miss in report.misses:
        lines += _wrapped("misses", miss)
    for failure in report.failures:
        lines += _wrapped("better", f"{failure.tier}: {failure.reason}")
        for lift in failure.lift:
            lines += _wrapped("do", lift)
    return lines


def _wrapped(label: str, words: str) -> list[str]:
    return textwrap.wrap(
        escape(words),
        width=WIDTH,
        initial_indent=f"  {label:<7}",
        subsequent_indent=" " * 9,
        break_long_words=False,
    )


def _fact_lines(diagnosis: Diagnosis, painter: Painter) -> list[str]:
    lines = []
    for fact in diagnosis.facts:
        mark = painter.paint("ok", GREEN) if fact.is_good else painter.paint("!!", YELLOW)
        lines += columns([[mark, f"{fact.name:<7}", escape(fact.found)]], indent="  ")
        if fact.advice:
            lines += [" " * 4 + line for line in _wrapped("do", fact.advice)]
    return lines


def _conclusion(diagnosis: Diagnosis, painter: Painter) -> str:
    code = verdict(diagnosis)
    blind = [r.event_class for r in diagnosis.classes if not r.tier]
    less = [r.event_class for r in diagnosis.classes if r.tier and r.failures]
    facts = [fact.name for fact in diagnosis.facts if not fact.is_good]
    parts = []
    if blind:
        parts.append(f"nothing watches {', '.join(blind)}")
    if less:
        parts.append(f"{', '.join(less)} could be watched better")
    if facts:
        parts.append(f"see to {', '.join(facts)}")
    words = "; ".join(parts) or "the best sources there are watch this device"
    colour = (GREEN, YELLOW, RED)[code]
    return f"{painter.paint(VERDICTS[code], colour)}: {escape(words)}"


def _from_row(row: dict[str, Json]) -> ClassReport:
    failures = row.get("failures")
    return ClassReport(
        event_class=_word(row, "class"),
        tier=_word(row, "tier"),
        sees=_word(row, "sees"),
        misses=_words(row, "misses"),
        failures=tuple(
            Failure(_word(item, "tier"), _word(item, "reason"), _words(item, "lift"))
            for item in (failures if isinstance(failures, list) else [])
            if isinstance(item, dict)
        ),
    )


def _table(answer: dict[str, Json], name: str) -> dict[str, Json]:
    value = answer.get(name)
    return value if isinstance(value, dict) else {}


def _word(row: dict[str, Json], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _words(row: dict[str, Json], name: str) -> tuple[str, ...]:
    value = row.get(name)
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()
