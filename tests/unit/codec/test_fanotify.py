"""The fanotify parser: whole, truncated at every byte, with a tail, and any bytes at all."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.fanotify import (
    CREATE,
    FSID_BYTES,
    INFO_DFID,
    INFO_DFID_NAME,
    INFO_FID,
    INFO_NEW_DFID_NAME,
    INFO_OLD_DFID_NAME,
    ONDIR,
    Q_OVERFLOW,
    RENAME,
    FanotifyEvent,
    handle_of,
    parse_events,
)
from vedette.errors import ParseError

FSID = bytes(range(8))


def key(handle: bytes, kind: int = 1) -> bytes:
    return FSID + struct.pack("=Ii", len(handle), kind) + handle


def info(kind: int, body: bytes) -> bytes:
    padded = body + bytes(-(len(body) + 4) % 4)
    return struct.pack("=BBH", kind, 0, len(padded) + 4) + padded


def event(mask: int, pid: int, *records: bytes, descriptor: int = -1, version: int = 3) -> bytes:
    body = b"".join(records)
    head = struct.pack("=IBBHQii", 24 + len(body), version, 0, 24, mask, descriptor, pid)
    return head + body


DIRECTORY, TARGET = key(b"dddddddd"), key(b"tttttttt")
CREATED = event(
    CREATE | ONDIR, 7, info(INFO_DFID_NAME, DIRECTORY + b"name\0"), info(INFO_FID, TARGET)
)
RENAMED = event(
    RENAME,
    8,
    info(INFO_OLD_DFID_NAME, DIRECTORY + b"old\0"),
    info(INFO_NEW_DFID_NAME, TARGET + b"new\0"),
)


def test_a_created_directory_gives_its_parent_its_name_and_its_own_handle() -> None:
    assert parse_events(CREATED) == [
        FanotifyEvent(CREATE | ONDIR, 7, DIRECTORY, b"name", TARGET, b"", b"")
    ]
    assert handle_of(DIRECTORY) == DIRECTORY[FSID_BYTES:]


def test_a_rename_gives_both_places() -> None:
    assert parse_events(RENAMED) == [
        FanotifyEvent(RENAME, 8, TARGET, b"new", b"", DIRECTORY, b"old")
    ]


def test_an_overflow_has_no_records() -> None:
    assert parse_events(event(Q_OVERFLOW, 0)) == [
        FanotifyEvent(Q_OVERFLOW, 0, b"", b"", b"", b"", b"")
    ]


def test_a_directory_without_a_name_is_the_directory_itself() -> None:
    (parsed,) = parse_events(event(CREATE, 1, info(INFO_DFID, DIRECTORY)))
    assert (parsed.directory, parsed.name) == (DIRECTORY, b"")


def test_records_of_a_newer_kernel_are_skipped() -> None:
    (parsed,) = parse_events(event(CREATE, 1, info(99, b"whatever"), info(INFO_FID, TARGET)))
    assert parsed.target == TARGET


def test_a_name_of_255_bytes_of_any_kind_is_kept() -> None:
    name = bytes(value or 1 for value in range(255))
    (parsed,) = parse_events(event(CREATE, 1, info(INFO_DFID_NAME, DIRECTORY + name + b"\0")))
    assert parsed.name == name


@pytest.mark.parametrize("whole", [CREATED, RENAMED, CREATED + RENAMED])
def test_every_truncation_is_refused_or_leaves_whole_events(whole: bytes) -> None:
    boundaries = {0: 0, len(CREATED): 1} if whole.startswith(CREATED) else {0: 0}
    for length in range(len(whole)):
        if length in boundaries:
            assert len(parse_events(whole[:length])) == boundaries[length]
        else:
            with pytest.raises(ParseError):
                parse_events(whole[:length])


def test_a_tail_is_refused_at_its_offset() -> None:
    with pytest.raises(ParseError) as caught:
        parse_events(CREATED + b"\x18")
    assert caught.value.offset == len(CREATED)


BROKEN = {
    "another version": event(CREATE, 1, version=4),
    "an event that carries a descriptor": event(CREATE, 1, descriptor=5),
    "an event shorter than its head": struct.pack("=IBBHQii", 23, 3, 0, 24, 0, -1, 0),
    "a head longer than the event": struct.pack("=IBBHQii", 24, 3, 0, 25, 0, -1, 0),
    "a record of no length": event(CREATE, 1, b"\x02\x00\x00\x00"),
    "a record that ends behind the event": event(CREATE, 1, b"\x02\x00\x99\x00"),
    "an identifier without a handle": event(CREATE, 1, info(INFO_FID, FSID)),
    "a handle longer than its record": event(
        CREATE, 1, info(INFO_FID, FSID + struct.pack("=Ii", 64, 1) + b"short")
    ),
    "a handle longer than the kernel makes them": event(
        CREATE, 1, info(INFO_FID, FSID + struct.pack("=Ii", 200, 1) + bytes(200))
    ),
    "a name without an end": event(
        CREATE, 1, struct.pack("=BBH", INFO_DFID_NAME, 0, 32) + DIRECTORY + b"name"
    ),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_what_the_manual_does_not_allow_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse_events(data)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_a_parse_error(data: bytes) -> None:
    offset = 0
    try:
        parse_events(data)
    except ParseError as error:
        offset = error.offset
    assert 0 <= offset <= len(data)


@given(st.data())
def test_any_flipped_byte_gives_a_value_or_a_parse_error(data: st.DataObject) -> None:
    whole = bytearray(CREATED + RENAMED)
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    try:
        events = parse_events(bytes(whole))
    except ParseError:
        return
    for parsed in events:
        for found in (parsed.directory, parsed.target, parsed.old_directory):
            assert not found or struct.unpack_from("=I", found, 8)[0] == len(found) - 16
