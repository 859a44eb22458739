"""What the agent says of itself: once, with its weight, and remembered by the next process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from tests.simulators.memory_journal import MemoryJournal

from vedette.core.outbox import Condition
from vedette.daemon import own_reports
from vedette.daemon.delivery import DEAF, SILENT
from vedette.daemon.own_reports import OwnReports, told_before
from vedette.daemon.shell import Shell
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft

CONDITIONS = [
    value for name, value in vars(Condition).items() if name.isupper() and isinstance(value, str)
]


class Told:
    """In the shell's place: keeps what it is told."""

    def __init__(self) -> None:
        self.findings: list[tuple[str, Severity, Mapping[str, str]]] = []
        self.drafts: list[EntryDraft] = []

    def report(
        self, condition: str, title: str, severity: Severity, fields: Mapping[str, str]
    ) -> None:
        assert title
        self.findings.append((condition, severity, fields))

    def note(self, kind: str, body: bytes, *, is_routine: bool = False) -> None:
        self.drafts.append(EntryDraft(kind, Severity.LOW, 0.0, body, "", "", is_routine))


def reports(told: Told, run_dir: Path) -> OwnReports:
    return OwnReports(cast("Shell", told), run_dir)


def remembered(drafts: Sequence[EntryDraft]) -> dict[str, str]:
    async def story() -> dict[str, str]:
        journal = MemoryJournal()
        await journal.open()
        await journal.append(drafts)
        return await told_before(journal)

    return asyncio.run(story())


@pytest.mark.parametrize("condition", [*CONDITIONS, SILENT, DEAF])
def test_every_condition_of_the_uplink_is_a_finding_when_it_begins_only(
    tmp_path: Path, condition: str
) -> None:
    told = Told()
    reports(told, tmp_path).uplink(condition, "why")
    reports(told, tmp_path).uplink(condition, "")
    ((name, severity, fields),) = told.findings
    assert (name, fields["Reason"]) == (condition, "why")
    assert (severity is Severity.LOW) == (condition == Condition.UNHEARD)
    assert all(draft.is_routine for draft in told.drafts), "no commit for them alone"


def test_the_next_process_knows_what_has_begun_and_not_ended(tmp_path: Path) -> None:
    told = Told()
    own = reports(told, tmp_path)
    own.uplink(Condition.OFFLINE, "no route")
    own.uplink(Condition.UNHEARD, "nobody")
    own.uplink(Condition.OFFLINE, "")
    assert remembered(told.drafts) == {Condition.UNHEARD: "nobody"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"condition":7}', b'{"detail":"x"}'])
def test_a_damaged_note_remembers_nothing(body: bytes) -> None:
    found = remembered([EntryDraft("uplink", Severity.LOW, 0.0, body, "", "", is_routine=True)])
    assert not any(found.get(condition) for condition in CONDITIONS)


def test_a_restarted_part_is_told_once_for_each_restart(tmp_path: Path) -> None:
    report = tmp_path / "keeper.tsv"
    told: Any = Told()
    own = reports(told, tmp_path)
    own.parts()
    report.write_text("sentinel\t1\t0\twas ended by SIGKILL\nuplink\t0\t0\t\n")
    own.parts()
    own.parts()
    reports(told, tmp_path).parts()
    assert [fields["Reason"] for _, _, fields in told.findings] == ["was ended by SIGKILL"]
    report.write_text(
        "sentinel\t1\t0\twas ended by SIGKILL\nuplink\t3\t0\tended with exit code 2\n"
    )
    own.parts()
    assert told.findings[-1][2] == {
        "Class": "uplink", "Reason": "ended with exit code 2", "Restarts": "3",
    }  # fmt: skip


def test_a_report_that_is_not_the_keepers_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "keeper.tsv").write_bytes(b"\xff\n")
    told = Told()
    reports(told, tmp_path).parts()
    assert not told.findings
    assert len(CONDITIONS) < own_reports.REMEMBERED


def test_a_state_that_lies_in_memory_is_a_finding_with_its_folder(tmp_path: Path) -> None:
    told = Told()
    reports(told, tmp_path).state_in_memory(tmp_path)
    [(condition, severity, fields)] = told.findings
    assert (condition, severity) == ("state-in-memory", Severity.HIGH)
    assert str(tmp_path) in fields["Reason"]
