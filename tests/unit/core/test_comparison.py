from __future__ import annotations

import time

import pytest

from vedette.core.comparison import compile_test, number
from vedette.core.cut import SCAN_CHARS, cut
from vedette.errors import RuleError
from vedette.model.rule import Match, Operator


def asks(operator: Operator, value: str, text: str) -> bool:
    return compile_test([Match("f", operator, value, is_cased=False)])(text)


@pytest.mark.parametrize(
    ("glob", "text", "is_expected"),
    [
        ("a*c", "abc", True),
        ("a*c", "ac", True),
        ("a*c", "acb", False),
        ("a?c", "ac", False),
        ("a?c", "a\nc", True),
        ("*b*", "abc", True),
        ("ab*ba", "aba", False),
        ("ab*ba", "abba", True),
        ("a*b*c*d", "abcd", True),
        ("a*b*c*d", "acbd", False),
        (r"a\*c", "a*c", True),
        (r"a\*c", "abc", False),
        (r"a\\*", "a\\b", True),
        (r"c:\x*", r"c:\xyz", True),
    ],
)
def test_globs(glob: str, text: str, is_expected: bool) -> None:  # noqa: FBT001
    assert asks("glob", glob, text) is is_expected


@pytest.mark.parametrize(
    ("network", "address", "is_expected"),
    [
        ("10.0.0.0/8", "10.9.8.7", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("fe80::/10", "fe80::1", True),
        ("fe80::/10", "10.0.0.1", False),
        ("10.0.0.0/8", "not an address", False),
        ("10.0.0.1", "10.0.0.1", True),
    ],
)
def test_networks(network: str, address: str, is_expected: bool) -> None:  # noqa: FBT001
    assert asks("cidr", network, address) is is_expected


@pytest.mark.parametrize(
    ("operator", "limit", "text", "is_expected"),
    [
        ("lt", "5", "4", True),
        ("lt", "5", "5", False),
        ("lte", "5", "5", True),
        ("gt", "5", "5.5", True),
        ("gte", "-1", "-1", True),
        ("gte", "5", "many", False),
        ("gte", "5", "9" * 5000, False),
        ("gt", "5", "inf", False),
    ],
)
def test_numbers(operator: Operator, limit: str, text: str, is_expected: bool) -> None:  # noqa: FBT001
    assert asks(operator, limit, text) is is_expected


@pytest.mark.parametrize("text", ["", "nan", "inf", "1" * 41, "٣", "0x10"])
def test_what_is_no_number_is_none(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize(
    ("operator", "value", "words"),
    [
        ("re", "(", "regular expression"),
        ("cidr", "10.0.0.0/64", "a network such as"),
        ("lt", "few", "expected a number after lt"),
    ],
)
def test_what_cannot_be_used_is_refused(operator: Operator, value: str, words: str) -> None:
    with pytest.raises(RuleError, match=words):
        asks(operator, value, "")


def test_a_glob_of_many_stars_takes_linear_time() -> None:
    glob = "*".join("abcdefghij" * 3)
    line = "".join(letter * (SCAN_CHARS // 10) for letter in "abcdefghij")
    began_s = time.process_time()
    assert not asks("glob", glob, line)
    assert time.process_time() - began_s < 1.0


def test_a_long_value_keeps_its_head_and_tail() -> None:
    value = "head" + "x" * 10_000 + "tail"
    kept = cut(value)
    assert len(kept) == SCAN_CHARS
    assert kept.startswith("head")
    assert kept.endswith("tail")
    assert "\x00" in kept
    assert cut("x" * SCAN_CHARS) == "x" * SCAN_CHARS
