"""The mountinfo parser (proc(5))."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.cuts import taken_when_cut

from vedette.codec.mountinfo import Mount, parse_mounts
from vedette.errors import ParseError

LINE = b"36 35 98:0 /root /mnt/a\\040b\\134c ro,noatime master:1 shared:2 - ext3 /dev/root rw,x\n"


def test_a_line_gives_its_fields_with_octal_escapes_resolved() -> None:
    assert parse_mounts(LINE) == [
        Mount(36, "98:0", "/root", "/mnt/a b\\c", "ext3", "/dev/root", True, "rw,x")
    ]


def test_optional_fields_may_be_missing_and_the_separator_may_be_a_name() -> None:
    (mount,) = parse_mounts(b"1 2 0:5 / - rw - tmpfs - rw")
    assert (mount.point, mount.kind, mount.source, mount.options) == ("-", "tmpfs", "-", "rw")
    (mount,) = parse_mounts(b"1 2 0:5 / - rw - tmpfs -")
    assert mount.options == ""


def test_a_truncated_line_is_refused() -> None:
    assert taken_when_cut(parse_mounts, LINE, range(1, LINE.index(b" rw,x\n") - 9)) == []


def test_the_error_says_where_the_line_is() -> None:
    with pytest.raises(ParseError) as caught:
        parse_mounts(LINE + b"nonsense\n")
    assert caught.value.offset == len(LINE)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_parse_error(data: bytes) -> None:
    offset = 0
    try:
        parse_mounts(data)
    except ParseError as error:
        offset = error.offset
    assert 0 <= offset <= len(data)
