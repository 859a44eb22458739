"""The project's own rules, compiled once for all tests of a process: it takes seconds."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from vedette.cli._rule_folder import Collected, collect
from vedette.model.rule import Bundle

RULES = Path(__file__).parents[2] / "rules"


@cache
def shipped() -> Collected:
    return collect([RULES])


@cache
def shipped_bundle() -> Bundle:
    return shipped().bundle("shipped", 1, 0, 0)
