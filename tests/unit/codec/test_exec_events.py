"""The kernel's questions about executions: whole, truncated, with a tail, and any bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.exec_events import (
    ALLOW,
    DENY,
    NO_DESCRIPTOR,
    OPEN_EXEC_PERM,
    Q_OVERFLOW,
    encode_answer,
    parse_events,
)
from vedette.errors import ParseError


def event(mask: int, descriptor: int, pid: int, *, extra: bytes = b"", version: int = 3) -> bytes:
    return struct.pack("=IBBHQii", 24 + len(extra), version, 0, 24, mask, descriptor, pid) + extra


QUESTION = event(OPEN_EXEC_PERM, 7, 4711)
OVERFLOW = event(Q_OVERFLOW, NO_DESCRIPTOR, 0)


def test_events_come_in_their_order_and_records_of_newer_kernels_are_skipped() -> None:
    data = QUESTION + OVERFLOW + event(OPEN_EXEC_PERM, 8, 12, extra=b"\x09\0\x08\0newer!!!")
    assert parse_events(data) == [
        (OPEN_EXEC_PERM, 7, 4711),
        (Q_OVERFLOW, NO_DESCRIPTOR, 0),
        (OPEN_EXEC_PERM, 8, 12),
    ]


@pytest.mark.parametrize("length", range(1, 24))
def test_a_truncated_event_is_refused(length: int) -> None:
    with pytest.raises(ParseError):
        parse_events(QUESTION[:length])
    with pytest.raises(ParseError):
        parse_events(QUESTION + QUESTION[:length])


@pytest.mark.parametrize(
    "wrong",
    {
        "another version": event(OPEN_EXEC_PERM, 7, 1, version=4),
        "a descriptor below -1": event(OPEN_EXEC_PERM, -2, 1),
        "a length beyond the end": struct.pack("=IBBHQii", 25, 3, 0, 24, 1, 1, 1),
        "a length that never ends": struct.pack("=IBBHQii", 0, 3, 0, 24, 1, 1, 1),
        "a head longer than the event": struct.pack("=IBBHQii", 24, 3, 0, 25, 1, 1, 1),
    }.values(),
)
def test_what_the_manual_does_not_describe_is_refused(wrong: bytes) -> None:
    with pytest.raises(ParseError, match="expected"):
        parse_events(wrong)


@given(st.binary(max_size=200))
def test_any_bytes_give_events_or_an_error(data: bytes) -> None:
    try:
        events = parse_events(data)
    except ParseError:
        return
    assert len(events) * 24 <= len(data)


def test_an_answer_is_the_descriptor_and_the_verdict() -> None:
    assert encode_answer(7, ALLOW) == struct.pack("=iI", 7, 1)
    assert encode_answer(8, DENY) == struct.pack("=iI", 8, 2)
