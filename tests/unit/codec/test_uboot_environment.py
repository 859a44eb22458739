"""What fw_printenv prints, and what fw_setenv is given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.uboot_environment import MAX_BYTES, decode, script
from vedette.errors import ParseError


def test_variables_are_read_and_other_lines_passed_over() -> None:
    text = "bslot=a\ntries=\nbootcmd=run x; run y=z\nWarning: nothing\n=x\n two=1\n"
    assert decode(text) == {"bslot": "a", "tries": "", "bootcmd": "run x; run y=z"}


def test_far_too_much_is_refused() -> None:
    with pytest.raises(ParseError, match="at most"):
        decode("a" * (MAX_BYTES + 1))


def test_a_script_has_an_equals_sign_in_each_line() -> None:
    assert script({"bslot": "b", "tries": ""}) == b"bslot=b\ntries=\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a b", "1"),
        ("", "1"),
        ("a", "1\nb=2"),
        ("a", "\x00"),
        ("a=b", ""),
        ("a", "\xe4"),
        ("-s", ""),
    ],
)
def test_what_would_be_another_line_is_refused(name: str, value: str) -> None:
    with pytest.raises(ParseError, match="printable"):
        script({name: value})


@given(st.text(max_size=200))
def test_any_text_gives_names_and_values(text: str) -> None:
    assert all(name.isascii() and "\n" not in value for name, value in decode(text).items())
