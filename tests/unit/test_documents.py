"""What the documents promise: each test that the threat model names exists, no finding lacks."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
THREATS = (ROOT / "agent/docs/threat-model.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"(tests/[\w/]+\.py)::(\w+)", THREATS)))
TOLD_BY = ("daemon/tamper_reports.py", "core/tamper.py")


@cache
def named_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_the_threat_model_names_tests() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_the_threat_model_names_exists(file: str, name: str) -> None:
    assert (ROOT / file).is_file(), f"{file} is not there"
    assert name in named_in(file), f"{file} has no {name}"


def test_every_finding_about_ourselves_is_in_the_threat_model() -> None:
    conditions = {
        word
        for file in TOLD_BY
        for word in re.findall(
            r'"((?:own|part|clock|disk|memory|journal|watch|uplink)(?:-[a-z]+)+)"',
            (ROOT / "agent/vedette" / file).read_text("utf-8"),
        )
    }
    assert len(conditions) > 8
    missing = {word for word in conditions if f"`{word}`" not in THREATS}
    assert not missing


def test_a_row_without_a_test_says_so() -> None:
    for line in THREATS.splitlines():
        if line.startswith("| ") and "shown by" not in line and "told |" not in line[-8:]:
            assert "tests/" in line or "**no test**" in line, line
