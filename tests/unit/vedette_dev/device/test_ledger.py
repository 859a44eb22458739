"""A campaign's file keeps each verdict, takes a cut short line, and is all that a report is of."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.errors import DeviceError
from vedette_dev.device.campaign import row
from vedette_dev.device.cut_disk import Cut
from vedette_dev.device.ledger import Ledger, LiveCut, Start
from vedette_dev.device.power_cuts import Verdict

FIRST, SECOND = Cut(5, ()), Cut(5, (3, 4), 512)


def filled(path: Path) -> Ledger:
    ledger = Ledger(path)
    ledger.add_judged(FIRST, Verdict("a"))
    ledger.add_judged(SECOND, Verdict("b", is_mended=True, lost=("told: w1",)))
    ledger.add_started(SECOND, Start("", ("still-1.log",), 130))
    live = LiveCut(1, "write 3 into data", 17, 70_000, Verdict("b"), Start("not heard", took_s=9))
    ledger.add_live(live)
    return ledger


def test_what_was_kept_is_there_for_the_next_run(tmp_path: Path) -> None:
    before, after = filled(tmp_path / "campaign"), Ledger(tmp_path / "campaign")
    assert after.judged == before.judged == {
        FIRST: Verdict("a"), SECOND: Verdict("b", is_mended=True, lost=("told: w1",)),
    }  # fmt: skip
    assert after.started == before.started == {SECOND: Start("", ("still-1.log",), 130)}
    assert after.live == before.live
    assert after.live[0].start == Start("not heard", (), 9)
    assert after.report() == before.report()


def test_a_report_hides_no_repeated_start_and_no_failed_one(tmp_path: Path) -> None:
    report = filled(tmp_path / "campaign").report()
    problems = report.pop("problems")
    assert report == {
        "cuts": 2, "boots": 1, "live_cuts": 1, "live_lost_writes": 17, "repeated": 1, "bricks": 1,
        "lost_entries": 1, "by_slot": {"a": 1, "b": 1}, "mended": 1, "silent": ["still-1.log"],
    }  # fmt: skip
    assert problems == [
        f"{SECOND}: told: w1", "live cut 1 (write 3 into data): not heard",
    ]  # fmt: skip


def test_a_cut_after_which_nothing_whole_is_started_is_a_brick(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "campaign")
    ledger.add_judged(FIRST, Verdict("", bricks=("both copies are damaged",)))
    assert ledger.report()["bricks"] == 1


def test_a_line_that_was_cut_short_is_dropped_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "campaign"
    filled(path)
    whole = path.read_bytes()
    first = whole.splitlines(keepends=True)[0]
    path.write_bytes(first + whole[len(first) : len(first) + 20])
    ledger = Ledger(path)
    assert list(ledger.judged) == [FIRST]
    ledger.add_started(FIRST, Start(""))
    assert list(Ledger(path).started) == [FIRST]


@pytest.mark.parametrize("line", [b"no JSON\n", b"{}\n", b'{"judged": 3}\n', b"[]\n"])
def test_a_line_of_something_else_is_told_with_its_number(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "campaign"
    filled(path)
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(DeviceError, match="line 5: expected a line of a campaign"):
        Ledger(path)


def test_a_row_has_a_cell_for_each_column(tmp_path: Path) -> None:
    facts = {"arch": "amd64", "entries": 3107, "written_mb": 294, "when": "2026-11-22"}
    made = row({**facts, **filled(tmp_path / "campaign").report()})
    assert (
        made
        == "| amd64 | 3107 | 294 | 2 | a 1, b 1 | 1 | 1 (17) | 1 | 1 | 1 | 1 | 2 | 2026-11-22 |"
    )
