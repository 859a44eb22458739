"""Answers beside what was expected: numbers within their tolerance, all else equal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.strict_json import Json
from vedette.core.golden import difference

RIGHT: dict[str, tuple[Json, Json]] = {
    "a number": (1.0, 1.0005),
    "a whole number for a decimal": (2.0, 2),
    "the edge of the tolerance": (0, 0.001),
    "relative to the expected one": (1000.0, 1009.9),
    "lists in lists": ([[1, 2], [3]], [[1.0, 2.0], [3.0]]),
    "text": ({"label": "person"}, {"label": "person"}),
    "nothing": (None, None),
    "truth": ([True, False], [True, False]),
    "huge whole numbers": (10**400, 10**400),
}

WRONG: dict[str, tuple[Json, Json, str]] = {
    "a number": (1.0, 1.02, "answer: expected 1.0, got 1.02"),
    "below": (-1.0, -1.02, "answer: expected"),
    "one deep inside": ({"y": [[0, 0], [0, 5]]}, {"y": [[0, 0], [0, 6]]}, "answer.y[1][1]: "),
    "a list that is shorter": ([1, 2], [1], "expected 2 values, got 1"),
    "a name that is missing": ({"a": 1, "b": 2}, {"a": 1}, 'names "b"'),
    "a name more": ({"a": 1}, {"a": 1, "z": 2}, 'names "z"'),
    "text for a number": (1, "1", 'expected 1, got "1"'),
    "truth for a number": (1, True, "expected 1, got True"),
    "a number for truth": (True, 1, "expected True, got 1"),
    "a list for a number": (1, [1], "got list"),
    "other text": ("person", "dog\x1b", '"person", got "dog\\e"'),
    "nothing": ([], None, "expected list, got None"),
}


@pytest.mark.parametrize("case", RIGHT)
def test_right(case: str) -> None:
    expected, got = RIGHT[case]
    assert difference(expected, got, absolute=0.001, relative=0.01 * (case[:3] == "rel")) == ""


@pytest.mark.parametrize("case", WRONG)
def test_wrong(case: str) -> None:
    expected, got, words = WRONG[case]
    assert words in difference(expected, got, absolute=0.001, relative=0.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)  # fmt: skip


@given(value=JSON)
def test_whatever_is_expected_is_right_when_it_comes(value: Json) -> None:
    assert difference(value, value, absolute=0.0, relative=0.0) == ""


@given(one=JSON, other=JSON)
def test_any_two_give_a_verdict(one: Json, other: Json) -> None:
    found = difference(one, other, absolute=0.0, relative=0.0)
    assert found or one == other
