"""Good copies whole, cut and hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import good_copy
from vedette.errors import ParseError
from vedette.model.baseline import GoodCopy

COPY = GoodCopy("/etc/shadow", {"user.a": b"\0\xff", "security.x": b""}, b"root:*:1:\n\n\0")
WRITTEN = (
    b"vedette good copy 1\n"
    b'{"attributes":{"security.x":"","user.a":"00ff"},"path":"/etc/shadow"}\n'
    b"root:*:1:\n\n\0"
)


def test_it_is_written_and_read_as_the_page_shows_it() -> None:
    assert good_copy.encode(COPY) == WRITTEN
    assert good_copy.decode(WRITTEN) == COPY


def test_truncated_in_its_head_it_is_none_and_behind_it_a_shorter_one() -> None:
    head = WRITTEN.index(b"root")
    for end in range(head):
        with pytest.raises(ParseError):
            good_copy.decode(WRITTEN[:end])
    assert good_copy.decode(WRITTEN[: head + 3]).content == b"roo"
    assert good_copy.decode(WRITTEN + b"tail").content == COPY.content + b"tail"


@pytest.mark.parametrize(
    "head",
    [
        b"[]",
        b'{"attributes":{}}',
        b'{"attributes":{},"path":"etc/x"}',
        b'{"attributes":{},"path":7}',
        b'{"attributes":[],"path":"/x"}',
        b'{"attributes":{"user.a":"0 0"},"path":"/x"}',
        b'{"attributes":{"user.a":"FF"},"path":"/x"}',
        b'{"attributes":{"user.a":1},"path":"/x"}',
        b'{"attributes":{"":"00"},"path":"/x"}',
        b'{"attributes":{"a\\u0000b":"00"},"path":"/x"}',
        b'{"attributes":{},"more":1,"path":"/x"}',
        b'{"attributes":{},"path":"/' + b"x" * good_copy.MAX_HEAD_BYTES + b'"}',
    ],
)
def test_another_head_is_refused(head: bytes) -> None:
    with pytest.raises(ParseError):
        good_copy.decode(b"vedette good copy 1\n" + head + b"\ncontent")


@given(st.binary(max_size=300))
def test_any_bytes_give_a_copy_or_a_parse_error(data: bytes) -> None:
    for given_bytes in (data, b"vedette good copy 1\n" + data):
        try:
            copy = good_copy.decode(given_bytes)
        except ParseError:
            continue
        assert good_copy.decode(good_copy.encode(copy)) == copy


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@given(TEXT, st.dictionaries(TEXT, st.binary(max_size=20), max_size=3), st.binary(max_size=99))
def test_what_is_written_comes_back(
    name: str, attributes: dict[str, bytes], content: bytes
) -> None:
    copy = GoodCopy("/" + name, attributes, content)
    assert good_copy.decode(good_copy.encode(copy)) == copy
