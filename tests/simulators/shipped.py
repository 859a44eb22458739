"""The project's own rules: compiled once for all tests of a process, which takes seconds.

What only runs them takes the bundle, which the cache of development holds.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from vedette.cli._rule_folder import Collected, collect
from vedette.model.rule import Bundle
from vedette_dev.rules import bundle_of

RULES = Path(__file__).parents[2] / "rules"


@cache
def shipped() -> Collected:
    return collect([RULES])


@cache
def shipped_bundle() -> Bundle:
    return replace(bundle_of(RULES), name="shipped", expires_s=0, digest="")
