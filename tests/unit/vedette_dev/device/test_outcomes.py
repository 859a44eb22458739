"""What tests of devices came to is told by file, of each file's last run, whatever cut it short."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from vedette.errors import DeviceError
from vedette_dev.device.outcomes import HEAD, Outcome, line, put, read, rows, write

ONE = Outcome("arm64", "clock", "test_1970", "passed", "", 90.0, 1_795_000_000, "abc1234")
OTHER = replace(ONE, file="broken", test="test_hung", outcome="failed", took_s=30.0)
PAGE = "<!-- tests: written by `make qemu-report` -->\n<!-- /tests -->\n"


def kept(folder: Path, *outcomes: Outcome) -> Path:
    path = folder / f"{ONE.arch}.jsonl"
    path.write_text("".join(f"{line(one)}\n" for one in outcomes))
    return path


def test_what_is_written_is_read_and_other_lines_are_left_out(tmp_path: Path) -> None:
    path = kept(tmp_path, ONE, OTHER)
    with path.open("a") as stream:
        stream.write(json.dumps({"what": "before a storm", "kb": {}}) + "\n")
    assert read(path) == [ONE, OTHER]
    assert read(tmp_path / "armhf.jsonl") == []


def test_every_part_of_a_last_line_that_was_cut_short_is_dropped(tmp_path: Path) -> None:
    whole = f"{line(ONE)}\n"
    path = tmp_path / "arm64.jsonl"
    for end in range(len(whole)):
        path.write_text(f"{whole}{whole[:end]}")
        assert read(path) == [ONE]


@pytest.mark.parametrize("text", ["no JSON", "[]", "{}", '{"what": "test", "arch": "arm64"}'])
def test_a_line_of_something_else_is_named(text: str, tmp_path: Path) -> None:
    path = kept(tmp_path, ONE)
    path.write_text(f"{line(ONE)}\n{text}\n")
    with pytest.raises(DeviceError, match=r"arm64\.jsonl:2: expected a line of `make qemu-test`"):
        read(path)


def test_a_row_counts_what_its_file_came_to() -> None:
    assert rows([ONE, replace(ONE, test="test_2"), OTHER, replace(OTHER, outcome="skipped")]) == [
        "| arm64 | broken | 0 | 1 | 1 | 1.0 | abc1234 | 2026-11-18 |",
        "| arm64 | clock | 2 | 0 | 0 | 3.0 | abc1234 | 2026-11-18 |",
    ]


def test_a_later_run_of_a_file_replaces_the_earlier_one_whole() -> None:
    later = replace(ONE, run=ONE.run + 86_400, outcome="failed", commit="def5678+")
    assert rows([ONE, replace(ONE, test="test_gone"), OTHER, later]) == [
        "| arm64 | broken | 0 | 1 | 0 | 0.5 | abc1234 | 2026-11-18 |",
        "| arm64 | clock | 0 | 1 | 0 | 1.5 | def5678+ | 2026-11-19 |",
    ]


def test_the_report_has_tests_and_cuts_and_says_what_was_not_cut(tmp_path: Path) -> None:
    kept(tmp_path, ONE)
    cut = tmp_path / "report.json"
    cut.write_text(
        json.dumps(
            {
                "arch": "arm64", "entries": 3138, "written_mb": 311, "cuts": 500,
                "by_slot": {"a": 374, "b": 126}, "boots": 40, "live_cuts": 1,
                "live_lost_writes": 30, "bricks": 0, "lost_entries": 0, "mended": 0,
                "repeated": 0, "problems": [], "when": "2026-11-22",
            }
        )
    )  # fmt: skip
    text = write(tmp_path, {"arm64": cut, "amd64": tmp_path / "none"})
    assert text == (tmp_path / "report.md").read_text()
    assert text.startswith(f"{HEAD}| arm64 | clock | 1 |")
    assert "| arm64 | 3138 | 311 | 500 | a 374, b 126 | 40 | 1 (30) | 0 | 0 |" in text
    assert text.endswith("No cuts were made in this clone of: amd64 (`make qemu-cuts`).\n")


def test_a_clone_without_a_run_says_so(tmp_path: Path) -> None:
    text = write(tmp_path / "new", {})
    assert text.startswith("No outcome of a test is in ")


def test_a_page_keeps_the_files_that_were_not_played_again(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    kept(tmp_path, ONE, OTHER)
    put(tmp_path, page)
    kept(tmp_path, replace(ONE, commit="def5678"))
    put(tmp_path, page)
    found = [row for row in page.read_text().splitlines() if row.startswith("| arm64")]
    assert [row.split(" | ")[1] for row in found] == ["broken", "clock"]
    assert "def5678" in found[1]
