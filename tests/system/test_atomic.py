"""A corpus of commands is run in throwaway roots, and each of them is judged by what was seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vedette_dev import atomic
from vedette_dev.performance import ABSENT, BUILT_INS

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("as_root", "kernel")]

REPOSITORY = Path(__file__).parents[2]
TESTS = [
    ("T1136.001", "echo 'joe:x:0:0::/:/bin/sh' >>/etc/passwd", "detected", ""),
    ("T1059.004", "cd /opt; true", "not visible", BUILT_INS),
    ("T1059.004", "a-program-that-is-nowhere", "not visible", ABSENT),
    ("T1005", "nl /etc/fstab; nl /etc/hostname", "missed", ""),
]


def test_each_command_gets_its_verdict(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.json"
    tests = [{"technique": technique, "command": text} for technique, text, _, _ in TESTS]
    corpus.write_text(json.dumps({"tests": tests}))
    request = atomic.Request(
        repository=REPOSITORY,
        folder=tmp_path / "atomic",
        corpus=corpus,
        rules=REPOSITORY / "rules",
        has_base=False,
        page=tmp_path / "page.md",
    )
    assert atomic.run(request) == 0
    found = json.loads((request.folder / "atomic.json").read_text())
    verdicts = [(one["technique"], one["outcome"], one["reason"]) for one in found["commands"]]
    assert verdicts == [(technique, outcome, why) for technique, _, outcome, why in TESTS]
    assert "4 commands: 1 detected, 2 not visible, 1 missed" in (tmp_path / "page.md").read_text()


def test_an_earlier_run_is_judged_again_by_other_rules(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.json"
    corpus.write_text(
        json.dumps({"tests": [{"technique": "T1005", "command": "nl /etc/fstab; :"}]})
    )
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "numbered.yml").write_text(
        """title: Lines numbered
id: 6e9a0b1e-6a3f-4f58-9a3e-0e6f5d7f2a10
status: test
description: A rule of this test.
author: tests
date: 2026-11-21
tags:
  - attack.t1005
logsource:
  category: process_creation
  product: linux
detection:
  tool:
    Image|endswith: /nl
  condition: tool
level: low
"""
    )
    request = atomic.Request(
        repository=REPOSITORY,
        folder=tmp_path / "atomic",
        corpus=corpus,
        rules=REPOSITORY / "rules",
        has_base=False,
    )
    assert outcome(request) == "missed"
    again = atomic.Request(
        repository=REPOSITORY,
        folder=request.folder,
        corpus=corpus,
        rules=rules,
        is_again=True,
    )
    assert outcome(again) == "detected"


def outcome(request: atomic.Request) -> str:
    atomic.run(request)
    (found,) = json.loads((request.folder / "atomic.json").read_text())["commands"]
    return str(found["outcome"])
