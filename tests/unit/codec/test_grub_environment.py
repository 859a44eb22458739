"""GRUB's environment block: exactly 1024 bytes, whole or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.grub_environment import BLOCK_BYTES, decode, encode
from vedette.errors import ParseError

HEAD = b"# GRUB Environment Block\n"


def padded(text: bytes) -> bytes:
    return (HEAD + text).ljust(BLOCK_BYTES, b"#")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (b"", {}),
        (b"a=1\n", {"a": "1"}),
        (b"# WARNING: a comment\na=1\nb=\n", {"a": "1", "b": ""}),
        (b"a=x=y\n", {"a": "x=y"}),
        (b"a=x\\\\y\\\nz\n", {"a": "x\\y\nz"}),
        (b"a=1\na=2\n", {"a": "2"}),
    ],
)
def test_variables_are_read(text: bytes, values: dict[str, str]) -> None:
    assert decode(padded(text)) == values


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "1024 bytes"),
        (padded(b"a=1\n")[:-1], "1024 bytes"),
        (padded(b"a=1\n") + b"#", "1024 bytes"),
        (bytes(BLOCK_BYTES), "first line"),
        (padded(b"a=1"), "name=value"),
        (padded(b"noequals\n"), "name=value"),
        (padded(b"=1\n"), "name=value"),
        (padded(b"a=\xff\n"), "UTF-8"),
        ((HEAD + b"a=1\n").ljust(BLOCK_BYTES, b"\0"), "name=value"),
    ],
)
def test_what_is_none_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ParseError, match=words):
        decode(data)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True),
        st.text(st.characters(codec="utf-8"), max_size=12),
        max_size=6,
    )
)
def test_what_is_written_comes_back(values: dict[str, str]) -> None:
    assert decode(encode(values)) == values
    assert len(encode(values)) == BLOCK_BYTES


@given(st.binary(max_size=1024))
def test_any_bytes_are_a_block_or_a_parse_error(data: bytes) -> None:
    for candidate in (data, padded(data)[:BLOCK_BYTES]):
        try:
            found = decode(candidate)
        except ParseError:
            continue
        assert all(isinstance(value, str) for value in found.values())


def test_too_much_and_wrong_names_are_refused() -> None:
    with pytest.raises(ParseError, match="at most 1024"):
        encode({"a": "x" * 1000})
    with pytest.raises(ParseError, match="name"):
        encode({"a b": "1"})
