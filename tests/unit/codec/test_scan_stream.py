"""The scanner's stream: every message comes back, and any bytes give a value or ParseError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.scan_stream import (
    FRAME_BYTES_MAX,
    LENGTH,
    Differs,
    Finished,
    Found,
    Message,
    Skipped,
    encode_message,
    expected_bytes,
    frame_length,
    parse_message,
)
from vedette.errors import ParseError
from vedette.model.baseline import Difference, FileRecord, ScanCounts

RECORD = FileRecord(
    "/etc/pass\udcffwd", "file", 0o104755, 0, 10, 5, 2**63 - 1, -1, 7, "ab" * 32, "0100"
)
MESSAGES: list[Message] = [
    Found(RECORD),
    Found(RECORD._replace(kind="other", digest="", capabilities="")),
    Differs(Difference("changed", RECORD.path, ("content", "mode 1 -> 2"), RECORD, RECORD, "")),
    Differs(Difference("removed", RECORD.path, (), RECORD, None, "")),
    Differs(Difference("added", RECORD.path, ("file",), None, RECORD, "")),
    Skipped("/a\nb", "Permission denied"),
    Finished(ScanCounts(1, 2, 2**40, 4, 5)),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_comes_back(message: Message) -> None:
    frame = encode_message(message)
    assert frame_length(frame[: LENGTH.size]) == len(frame) - LENGTH.size
    assert parse_message(frame[LENGTH.size :]) == message


@pytest.mark.parametrize("message", [m for m in MESSAGES if not isinstance(m, Skipped)])
def test_every_truncation_and_a_tail_are_refused(message: Message) -> None:
    frame = encode_message(message)[LENGTH.size :]
    for length in range(len(frame)):
        with pytest.raises(ParseError):
            parse_message(frame[:length])
    with pytest.raises(ParseError):
        parse_message(frame + b"\0")


@pytest.mark.parametrize("head", [b"", b"\0\0\0", LENGTH.pack(0), LENGTH.pack(FRAME_BYTES_MAX + 1)])
def test_a_length_that_nobody_means_is_refused(head: bytes) -> None:
    with pytest.raises(ParseError):
        frame_length(head)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_message_or_a_parse_error(data: bytes) -> None:
    try:
        message = parse_message(data)
    except ParseError:
        return
    assert isinstance(message, Found | Differs | Skipped | Finished)


@given(st.sampled_from(MESSAGES), st.data())
def test_a_flipped_byte_gives_a_message_or_a_parse_error(
    message: Message, data: st.DataObject
) -> None:
    frame = bytearray(encode_message(message)[LENGTH.size :])
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        parsed = parse_message(bytes(frame))
    except ParseError:
        return
    assert encode_message(parsed)[LENGTH.size :] == bytes(frame)


def test_the_digest_covers_what_counts_and_nothing_else() -> None:
    same = RECORD._replace(inode=1, mtime_ns=2, ctime_ns=3)
    assert expected_bytes(same) == expected_bytes(RECORD)
    for other in (
        RECORD._replace(path="/x"),
        RECORD._replace(kind="link"),
        RECORD._replace(mode=1),
        RECORD._replace(uid=1),
        RECORD._replace(gid=1),
        RECORD._replace(size_bytes=1),
        RECORD._replace(digest="cd" * 32),
        RECORD._replace(capabilities=""),
    ):
        assert expected_bytes(other) != expected_bytes(RECORD)
