from __future__ import annotations

import pytest

from vedette.cli._sigma_regex import check
from vedette.errors import RuleError


@pytest.mark.parametrize(
    ("pattern", "gate"),
    [
        ("^/tmp/x+y$", "/tmp/x"),
        ("(?i)Stratum\\+TCP", "stratum+tcp"),
        ("a|bcdef", ""),
        ("(?:abc)?def", "def"),
        ("(abc)def", "abcdef"),
        ("(?:abc){2,3}d", "abc"),
        ("x.yz", ""),
        ("[abc]defg", "defg"),
        ("\\bsocket\\b", "socket"),
        ("abcü", "abc"),
    ],
)
def test_the_gate_is_the_longest_text_that_every_match_holds(pattern: str, gate: str) -> None:
    assert check(pattern) == (pattern, gate)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "RE2 accepts"),
        ("(?=x)y", "RE2 accepts"),
        (r"(a)\1", "RE2 accepts"),
        ("[[:alpha:]]+", "same to Python"),
        (r"\Qa.b\E", "same to Python"),
        ("(?u)x", "RE2 accepts"),
        ("(a+)+", "no endless repetition inside another"),
        (r"(\s*\S+)*x", "no endless repetition inside another"),
        ("(?:x[a-z]*,){1,50}", "no endless repetition inside another"),
        pytest.param(r".*.*.*=.*;", "takes less than 50 ms", marks=pytest.mark.thorough),
    ],
)
def test_what_is_dangerous_or_means_two_things_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(RuleError, match=words):
        check(pattern)
