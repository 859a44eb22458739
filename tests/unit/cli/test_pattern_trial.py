from __future__ import annotations

import re
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.cli._pattern_sample import branches, demand, parse, sample
from vedette.cli._pattern_trial import slowest

SLOW = {
    "alternatives that overlap": "(a|aa)*x",
    "an end that spoils": "(a|aa)+$",
}
SLOW_TO_FIND = {
    "behind a beginning of its own": "ab(c|cc)+d$",
    "many optional characters": "(?:a?){20}a{20}x",
    "one star after the other": "(.*a){12}b",
    "only behind more than the line before the longest": "a{1100}(a|aa)*x",
}
"""A second of a core or two each."""


@pytest.mark.parametrize(
    "pattern",
    [
        *(pytest.param(pattern, id=name) for name, pattern in SLOW.items()),
        *(
            pytest.param(pattern, id=name, marks=pytest.mark.thorough)
            for name, pattern in SLOW_TO_FIND.items()
        ),
    ],
)
def test_a_pattern_that_a_hostile_line_holds_up_is_found_in_seconds(pattern: str) -> None:
    began_s = time.thread_time()
    slow = slowest(pattern)
    assert slow is not None
    assert slow.seconds > 0.05
    assert slow.chars <= 4096
    assert time.thread_time() - began_s < 10


@pytest.mark.parametrize("pattern", [r"\s-[a-zA-Z]{0,6}l\s{0,4}\S{0,40}sh\b", "(.){200,}", "", "x"])
def test_a_pattern_that_takes_no_time_passes(pattern: str) -> None:
    assert slowest(pattern, ["abc"]) is None


def test_the_timer_is_given_back() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    assert slowest("(a|aa)*x") is not None
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


@pytest.mark.parametrize(
    "pattern",
    ["abc", "a|b", "[^x]y", "[b-d]{3}", r"\d+\s\w", "(?:ab){2}c?", "x.y", r"\Aab\Z", "a{0,3}b"],
)
def test_a_sample_is_matched(pattern: str) -> None:
    assert re.search(pattern, sample(parse(pattern)))


def test_alternatives_have_samples_of_their_own() -> None:
    assert set(branches(parse("(ab|cd|e)"))) == {"ab", "cd", "e"}


@given(st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        tree = parse(text)
    except ValueError:
        return
    assert isinstance(sample(tree), str)


@pytest.mark.parametrize(
    ("pattern", "chars"),
    [("", 0), ("ab?c*", 3), ("a{7}", 7), ("(?:ab|c{9}|d){3}[xy]", 28), (r"\Ax.{2,}\Z", 3)],
)
def test_the_most_demanding_way_counts(pattern: str, chars: int) -> None:
    assert demand(parse(pattern)) == chars


def test_a_sample_is_bounded() -> None:
    assert len(sample(parse("(?:a{1000}){1000}"))) <= 2048
