"""Text for people: nothing steers the terminal, nothing deceives, figures are short."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.text import escape, human_age, human_size, quoted, shorten


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain /usr/bin/ls -l", "plain /usr/bin/ls -l"),
        ("Gerät 日本語 🛰", "Gerät 日本語 🛰"),
        ("\x1b[31mred\x1b]0;title\x07", "\\e[31mred\\e]0;title\\x07"),
        ("a\r\nb\tc\x00", "a\\r\\nb\\tc\\x00"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("evil\u202etxt.exe", "evil\\u202etxt.exe"),
        ("a\u200bb\ufeff\u2066\u2028", "a\\u200bb\\ufeff\\u2066\\u2028"),
        ("tag\U000e0041", "tag\\U000e0041"),
        (b"\xff\xfe/x".decode("utf-8", "surrogateescape"), "\\xff\\xfe/x"),
        ("\ud800", "\\ud800"),
    ],
)
def test_escape(text: str, expected: str) -> None:
    assert escape(text) == expected


@given(st.text(st.characters(exclude_categories=())))
def test_escaped_text_is_safe_whole_and_stays_as_it_is(text: str) -> None:
    safe = escape(text)
    safe.encode("utf-8")
    assert escape(safe) == safe
    assert not any(unicodedata.category(character) in {"Cc", "Cs"} for character in safe)
    assert not any(unicodedata.bidirectional(c) in {"RLO", "LRO", "RLE", "RLI"} for c in safe)


@given(st.text(), st.integers(1, 50))
def test_shorten_keeps_head_and_tail_within_the_width(text: str, width: int) -> None:
    short = shorten(text, width)
    assert len(short) <= width
    assert short == text or "…" in short


def test_shorten_and_quoted_show_both_ends() -> None:
    assert shorten("/usr/local/share/program", 13) == "/usr/loc…gram"
    assert quoted("a\nb") == '"a\\nb"'
    assert quoted(12) == "12"


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (15_500, "16 kB"), (999_600, "1.0 MB"),
        (42_000_000, "42 MB"), (10**21, "1000 EB"), (-5, "-5 B"),
    ],
)  # fmt: skip
def test_human_size(size: int, expected: str) -> None:
    assert human_size(size) == expected


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (-3.0, "0 s"), (0.9, "0 s"), (59.9, "59 s"), (60, "1 min"), (185, "3 min 5 s"),
        (3600, "1 h"), (7320, "2 h 2 min"), (86_400 * 2 + 4 * 3600, "2 d 4 h"), (86_405, "1 d"),
    ],
)  # fmt: skip
def test_human_age(age: float, expected: str) -> None:
    assert human_age(age) == expected
