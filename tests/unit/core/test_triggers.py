from __future__ import annotations

import pytest

from vedette.core.triggers import literal, trigger
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not

RARE = Match("CommandLine", "contains", "stratum+tcp", is_cased=False)
COMMON = Match("Image", "endswith", "/sh", is_cased=False)
ABSENT = Match("User", "null", "", is_cased=False)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (RARE, [RARE]),
        (AllOf((COMMON, RARE)), [RARE]),
        (AllOf((RARE, Not(COMMON))), [RARE]),
        (AnyOf((COMMON, RARE)), [COMMON, RARE]),
        (AllOf((COMMON, AnyOf((RARE, RARE)))), [RARE, RARE]),
        (Not(RARE), None),
        (ABSENT, None),
        (AnyOf((RARE, Not(COMMON))), None),
        (AllOf((ABSENT, Not(COMMON))), None),
        (Match("Image", "contains", "", is_cased=False), None),
    ],
)
def test_the_rarest_required_clause_leads_to_a_rule(
    condition: Condition, expected: list[Match] | None
) -> None:
    assert trigger(condition) == expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (RARE, "stratum+tcp"),
        (Match("Image", "glob", "a*bcd?e", is_cased=False), "bcd"),
        (Match("Image", "glob", r"\*abc*x", is_cased=False), "*abc"),
        (Match("Image", "re", "x+Abc", is_cased=True, gate="abc"), "abc"),
        (Match("Image", "re", "x+", is_cased=True), ""),
        (Match("Image", "equals", "AbC", is_cased=True), "abc"),
        (Match("Image", "equals", "ΑΣ", is_cased=True), ""),
        (Match("Ip", "cidr", "10.0.0.0/8", is_cased=False), ""),
    ],
)
def test_the_text_that_must_be_there(match: Match, expected: str) -> None:
    assert literal(match) == expected
