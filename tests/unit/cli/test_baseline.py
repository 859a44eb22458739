"""`vedette baseline` as a person sees it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from vedette.cli import baseline
from vedette.codec.strict_json import Json

SCAN: dict[str, Json] = {
    "number": 3, "files": 10, "duration_s": 0.5, "hashed": 2, "differences": 2, "first": False,
    "failure": "", "skipped": ["/etc/secret: Permission denied"],
}  # fmt: skip
DIFFERENCES: list[Json] = [
    {"change": "changed", "path": "/bin/su", "words": ["mode 0755 -> 4755"],
     "changed_by": "/bin/chmod (pid 7)"},
    {"change": "added", "path": "/etc/\x1b[2Jx", "words": ["file"], "changed_by": ""},
]  # fmt: skip


def run(
    monkeypatch: pytest.MonkeyPatch, words: list[str], answers: dict[str, dict[str, Json]]
) -> tuple[int, list[tuple[str, dict[str, Json]]]]:
    asked: list[tuple[str, dict[str, Json]]] = []

    def ask(_: argparse.Namespace, do: str, params: dict[str, Json]) -> dict[str, Json]:
        asked.append((do, params))
        return answers[do]

    monkeypatch.setattr(baseline, "_ask", ask)
    parser = argparse.ArgumentParser()
    baseline.register(parser.add_subparsers())
    args = parser.parse_args(["baseline", *words])
    assert isinstance(args.config, Path)
    return args.run(args), asked


def test_show_says_what_is_expected_and_what_could_not_be_judged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer: dict[str, Json] = {"files": 10, "digest": "ab", "scanning": False, "scan": SCAN}
    code, _ = run(monkeypatch, ["show"], {"baseline.show": answer})
    assert code == 0
    text = capsys.readouterr().out
    assert "files expected  10" in text
    assert "/etc/secret: Permission denied" in text


def test_diff_prints_a_line_each_escapes_and_exits_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer: dict[str, Json] = {"differences": DIFFERENCES, "total": 2, "scan": SCAN}
    code, asked = run(monkeypatch, ["diff", "/bin"], {"baseline.diff": answer})
    assert code == 1
    assert asked == [("baseline.diff", {"paths": ["/bin"]})]
    first, second = capsys.readouterr().out.splitlines()
    assert first == "~ /bin/su  mode 0755 -> 4755  by /bin/chmod (pid 7)"
    assert second.startswith("+ /etc/")
    assert "\x1b" not in second


def test_diff_with_a_scan_waits_for_its_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty: list[Json] = []
    answers: dict[str, dict[str, Json]] = {
        "baseline.scan": {"scan_number": 3},
        "baseline.state": {"scan": SCAN},
        "baseline.diff": {"differences": empty, "total": 0, "scan": SCAN},
    }
    code, asked = run(monkeypatch, ["diff", "--scan"], answers)
    assert code == 0
    assert [do for do, _ in asked] == ["baseline.scan", "baseline.state", "baseline.diff"]
    assert "every file is as expected" in capsys.readouterr().out


def test_accept_says_what_it_took(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer: dict[str, Json] = {"accepted": 2, "removed": 1, "digest": "cd"}
    code, asked = run(monkeypatch, ["accept", "--all"], {"baseline.accept": answer})
    assert code == 0
    assert asked == [("baseline.accept", {"paths": [], "all": True})]
    assert "accepted 2 files, forgot 1" in capsys.readouterr().out
