"""Pages of figures say what was found, name no text of a corpus, and count right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vedette.errors import DeviceError
from vedette.model.event import EventClass
from vedette.model.finding import Finding, Severity
from vedette_dev import atomic_table, matrix_table
from vedette_dev.corpus import Command
from vedette_dev.matrix import Row
from vedette_dev.performance import ABSENT, BUILT_INS, Performance, Played, Verdict, verdict
from vedette_dev.player import Attack
from vedette_dev.seen import Seen

SECRET = "a-command-of-the-corpus"


def command(number: int, technique: str) -> Command:
    return Command(number, technique, SECRET, "sh", SECRET)


def finding(*tags: str) -> Finding:
    return Finding(
        rule_id="r",
        title="Odd program",
        author="a",
        severity=Severity.LOW,
        tags=tags,
        event_class=EventClass.PROCESS,
        tier="audit",
        at_s=1.0,
        wall_s=1.0,
        fields={},
        chain=(),
        losses=(),
        bundle="",
    )


VERDICTS = [
    Verdict(command(0, "T1003.008"), "detected", "", (finding("attack.t1003"),)),
    Verdict(command(1, "T1003.008"), "missed", "", ()),
    Verdict(command(2, "T1057"), "detected", "", (finding("attack.t1105"),)),
    Verdict(command(3, "T1049"), "not visible", ABSENT, ()),
]


def test_a_summary_counts_each_outcome_and_rules_of_the_same_technique() -> None:
    assert atomic_table.summary(VERDICTS) == (
        "4 commands: 2 detected, 1 not visible, 1 missed; 1 by a rule of the same technique"
    )


def test_a_page_has_a_row_for_each_technique_and_no_text_of_the_corpus() -> None:
    page = atomic_table.page(VERDICTS, {"process": "audit"})
    assert "| T1003.008 | 2 | 1 |  | 1 | Odd program |" in page
    assert f"- 1: {ABSENT}" in page
    assert "process audit" in page
    figures = json.dumps(atomic_table.document(VERDICTS, {"process": "audit"}))
    assert SECRET not in page + figures


@pytest.mark.parametrize(
    ("seen", "is_absent", "outcome", "reason"),
    [
        (Seen(programs=2), False, "missed", ""),
        (Seen(changes=1), True, "missed", ""),
        (Seen(programs=1), False, "not visible", BUILT_INS),
        (Seen(programs=1), True, "not visible", ABSENT),
    ],
)
def test_only_what_no_source_told_of_is_not_visible(
    seen: Seen, outcome: str, reason: str, *, is_absent: bool
) -> None:
    played = Played(0, "word", 1.0, 2.0, is_absent)
    found = verdict(command(0, "T1057"), played, seen, ())
    assert (found.outcome, found.reason) == (outcome, reason)
    assert verdict(command(0, "T1057"), played, seen, [finding()]).outcome == "detected"


def test_a_performance_is_read_back_and_a_missing_one_is_named(tmp_path: Path) -> None:
    performance = Performance({"process": "audit"}, (Played(0, "w", 1.0, 2.0, is_absent=True),))
    path = tmp_path / "played.json"
    with pytest.raises(DeviceError, match="without --again first"):
        Performance.read(path)
    path.write_text(json.dumps(performance.document()))
    assert Performance.read(path) == performance
    assert performance.spans() == {"w": (1.0, 2.0)}


def test_the_matrix_shows_whole_and_part_in_the_order_of_the_ladder() -> None:
    steps = (("attack.t1",), ("attack.t2",))
    chain = Row(Attack("chain", "T1105", steps, "", lambda _: ""))
    chain.steps = {"audit": {0}, "ebpf": {0, 1}}
    unseen = Row(Attack("unseen", "T1001", steps[:1], "", lambda _: ""), problem="no namespaces")
    page = matrix_table.page([chain, unseen], {"procfs": "process"})
    assert "| attack | technique | ebpf | audit | procfs |" in page
    assert "| chain | T1105 | ● | ◐ |  |" in page
    assert "**1 of 2 attacks told of" in page
    assert "- unseen: no namespaces" in page
