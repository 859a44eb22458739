"""Whatever is proven about two comparisons holds on every value that can be made of them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.examples import examples
from tests.simulators.linear_engine import is_met

from vedette.cli._clause_logic import excludes, implies
from vedette.cli._refutation import implies_all, normal, refute
from vedette.cli._witness import witness
from vedette.errors import RuleError
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not, Operator

_CHARS = st.text(alphabet="aAbB1/*?.\\", max_size=4)


@st.composite
def matches(draw: st.DrawFn) -> Match:
    field = draw(st.sampled_from(("Image", "CommandLine", "Port")))
    operators: list[Operator] = [
        "equals", "contains", "startswith", "endswith", "glob", "exists", "null", "lt", "lte", "gt",
        "gte", "cidr",
    ]  # fmt: skip
    operator = draw(st.sampled_from(operators))
    is_cased = draw(st.booleans())
    match operator:
        case "exists":
            return Match(field, operator, draw(st.sampled_from(("true", "false"))), is_cased=False)
        case "null":
            return Match(field, operator, "", is_cased=False)
        case "lt" | "lte" | "gt" | "gte":
            return Match(field, operator, str(draw(st.integers(0, 3))), is_cased=False)
        case "cidr":
            value = draw(st.sampled_from(("10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8", "::/0")))
            return Match(field, operator, value, is_cased=False)
        case _:
            value = draw(_CHARS)
            return Match(field, operator, value if is_cased else value.lower(), is_cased)


_VALUES = st.one_of(
    _CHARS, st.sampled_from(("", "0", "1", "2", "3", "10.0.0.1", "10.1.2.3", "::1"))
)
_EVENTS = st.dictionaries(
    st.sampled_from(("Image", "ImageAlias", "CommandLine", "Port")), _VALUES, max_size=4
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    matches(),
    lambda inner: st.one_of(
        st.builds(lambda parts: AllOf(tuple(parts)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: AnyOf(tuple(parts)), st.lists(inner, min_size=1, max_size=3)),
        st.builds(Not, inner),
    ),
    max_leaves=6,
)


@examples(2)
@given(matches(), matches(), st.lists(_EVENTS, min_size=8, max_size=8))
def test_what_is_proven_of_two_comparisons_holds(
    one: Match, other: Match, events: list[dict[str, str]]
) -> None:
    is_implied, is_excluded = implies(one, other), excludes(one, other)
    assert excludes(other, one) == is_excluded
    for event in events:
        if is_implied and is_met(one, event):
            assert is_met(other, event), event
        if is_excluded:
            assert not (is_met(one, event) and is_met(other, event)), event


@examples(1)
@given(conditions, conditions, st.lists(_EVENTS, min_size=8, max_size=8))
def test_what_is_proven_of_conditions_holds(
    one: Condition, other: Condition, events: list[dict[str, str]]
) -> None:
    is_dead, is_implied = refute([normal(one)]) is not None, implies_all(one, other)
    for event in events:
        assert is_met(normal(one), event) == is_met(one, event)
        assert is_met(normal(one, is_wanted=False), event) != is_met(one, event)
        assert not (is_dead and is_met(one, event))
        assert not (is_implied and is_met(one, event)) or is_met(other, event)


@examples(0.6)
@given(conditions)
def test_a_witness_meets_its_condition_and_the_dead_have_none(condition: Condition) -> None:
    found = witness(condition)
    if found is not None:
        assert is_met(condition, found)
        assert refute([normal(condition)]) is None


def match(field: str, operator: Operator, value: str, *, is_cased: bool = False) -> Match:
    return Match(field, operator, value, is_cased)


PROVEN = {
    "a longer end": (match("F", "endswith", "/bash"), match("F", "endswith", "bash")),
    "a part of a beginning": (match("F", "startswith", "/tmp/x"), match("F", "contains", "tmp")),
    "a value": (match("F", "equals", "/bin/sh"), match("F", "endswith", "/sh")),
    "a glob": (match("F", "startswith", "/home/joe/"), match("F", "glob", "/home/*/*")),
    "a glob of a glob": (match("F", "glob", "*a*b*c*"), match("F", "glob", "*a*c*")),
    "a number": (match("F", "equals", "23"), match("F", "lt", "1024")),
    "a range": (match("F", "lt", "10"), match("F", "lte", "10")),
    "a network": (match("F", "cidr", "10.1.0.0/16"), match("F", "cidr", "10.0.0.0/8")),
    "that it is there": (match("F", "contains", "x"), match("F", "exists", "true")),
    "case given up": (match("F", "contains", "Abc", is_cased=True), match("F", "contains", "b")),
    "a pattern's gate": (
        Match("F", "re", "curl.*x", is_cased=True, gate="curl"),
        match("F", "contains", "url"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROVEN)
def test_an_implication_that_matters_is_proven(name: str) -> None:
    assert implies(*PROVEN[name])
    assert not implies(*PROVEN[name][::-1])


APART = {
    "two values": (match("F", "equals", "a"), match("F", "equals", "b")),
    "two ends": (match("F", "endswith", "/sh"), match("F", "endswith", "/ash")),
    "two beginnings": (match("F", "startswith", "/tmp"), match("F", "startswith", "/var")),
    "two ranges": (match("F", "lt", "10"), match("F", "gte", "10")),
    "two networks": (match("F", "cidr", "10.0.0.0/8"), match("F", "cidr", "11.0.0.0/8")),
    "there and not": (match("F", "contains", "x"), match("F", "exists", "false")),
    "a value without the text": (match("F", "equals", "abc"), match("F", "contains", "x")),
    "a value in another case": (
        match("F", "equals", "ABC", is_cased=True),
        match("F", "startswith", "a", is_cased=True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_a_contradiction_that_matters_is_proven(name: str) -> None:
    assert excludes(*APART[name])


def test_an_alias_may_meet_what_the_image_does_not() -> None:
    wget, busybox = match("Image", "endswith", "/wget"), match("Image", "equals", "/bin/busybox")
    assert not excludes(wget, busybox)


def test_a_proof_gives_up_instead_of_taking_for_ever() -> None:
    pigeons, holes = range(9), range(8)

    def sits(pigeon: int, hole: int) -> Match:
        return match(f"F{pigeon}", "contains", f"hole{hole}")

    parts: list[Condition] = [AnyOf(tuple(sits(one, hole) for hole in holes)) for one in pigeons]
    for hole in holes:
        for one, other in itertools.combinations(pigeons, 2):
            parts.append(Not(AllOf((sits(one, hole), sits(other, hole)))))
    assert refute([normal(AllOf(tuple(parts)))]) is None  # true, but not proven


def test_a_condition_that_cannot_be_compiled_is_an_error_to_solve() -> None:
    with pytest.raises(RuleError):
        witness(match("F", "cidr", "nonsense"))
