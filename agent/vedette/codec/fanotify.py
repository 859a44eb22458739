"""Reads the events of a fanotify group that reports file identifiers (fanotify(7)).

Rule 1: any bytes give a list of events or ParseError; unknown information records are skipped, as
fanotify(7) asks, so that a newer kernel is understood.
Rule 2: a directory is named by an opaque key: fsid, handle length, handle type and handle, as they
stand in the record. `handle_of` gives the part that open_by_handle_at(2) takes.
Rule 3: an event may carry several mask bits merged by the kernel; their order is lost.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from vedette.errors import ParseError

ATTRIB: Final = 0x4
CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
Q_OVERFLOW: Final = 0x4000
RENAME: Final = 0x1000_0000
ONDIR: Final = 0x4000_0000

METADATA_VERSION: Final = 3
NO_DESCRIPTOR: Final = -1
HANDLE_BYTES_MAX: Final = 128  # MAX_HANDLE_SZ, open_by_handle_at(2)
FSID_BYTES: Final = 8

INFO_FID: Final = 1
INFO_DFID_NAME: Final = 2
INFO_DFID: Final = 3
INFO_OLD_DFID_NAME: Final = 10
INFO_NEW_DFID_NAME: Final = 12

_METADATA = Struct("=IBBHQii")
_INFO = Struct("=BBH")
_HANDLE_LENGTH = Struct("=I")
_HANDLE_AT = _INFO.size + FSID_BYTES
_NAME_AT = _HANDLE_AT + 8  # past handle_bytes and handle_type of struct file_handle
_NAMED = frozenset((INFO_DFID_NAME, INFO_OLD_DFID_NAME, INFO_NEW_DFID_NAME))
_WITH_HANDLE = _NAMED | {INFO_FID, INFO_DFID}


class FanotifyEvent(NamedTuple):
    """One event; keys are b"" where the record was not there.

    `directory` and `name` say where it happened (of a rename: the new place, the old one is
    `old_directory` and `old_name`); `name` is "." or b"" for the directory itself. `target` is the
    key of the object itself.
    """

    mask: int
    pid: int
    directory: bytes
    name: bytes
    target: bytes
    old_directory: bytes
    old_name: bytes


class Opened(NamedTuple):
    """An event of a group that hands out descriptors; the reader has to close it, if it is >= 0."""

    mask: int
    pid: int
    descriptor: int


def parse_opened(data: bytes) -> list[Opened]:
    """Read everything that one read(2) of a group without file identifiers gave.

    Raises:
        ParseError: the bytes are not whole events of version 3.
    """
    events: list[Opened] = []
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < _METADATA.size:
            raise ParseError(
                f"expected {_METADATA.size} bytes of event metadata, got {end - offset}", offset
            )
        length, version, _, head, mask, descriptor, pid = _METADATA.unpack_from(data, offset)
        _check_metadata(length, version, head, NO_DESCRIPTOR, offset, end)
        events.append(Opened(mask, pid, descriptor))
        offset += length
    return events


def handle_of(key: bytes) -> bytes:
    """The struct file_handle of a key, as open_by_handle_at(2) takes it."""
    return key[FSID_BYTES:]


def parse_events(data: bytes) -> list[FanotifyEvent]:
    """Read everything that one read(2) of the group gave.

    Args:
        data: whole events, as the kernel hands them out.

    Raises:
        ParseError: the bytes are not whole events of version 3, or an event carries a descriptor.
    """
    events: list[FanotifyEvent] = []
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < _METADATA.size:
            raise ParseError(
                f"expected {_METADATA.size} bytes of event metadata, got {end - offset}", offset
            )
        length, version, _, head, mask, descriptor, pid = _METADATA.unpack_from(data, offset)
        _check_metadata(length, version, head, descriptor, offset, end)
        events.append(_event(data, offset + head, offset + length, mask, pid))
        offset += length
    return events


def _check_metadata(
    length: int, version: int, head: int, descriptor: int, offset: int, end: int
) -> None:
    if version != METADATA_VERSION:
        raise ParseError(f"expected fanotify version 3, got {version}", offset + 4)
    if not _METADATA.size <= head <= length <= end - offset:
        raise ParseError(
            f"expected 24 <= metadata_len <= event_len <= {end - offset}, got {head} and {length}",
            offset,
        )
    if descriptor != NO_DESCRIPTOR:
        raise ParseError(f"expected no descriptor (-1), got {descriptor}", offset + 16)


def _event(data: bytes, offset: int, end: int, mask: int, pid: int) -> FanotifyEvent:
    directory = name = target = old_directory = old_name = b""
    while offset < end:
        if end - offset < _INFO.size:
            raise ParseError(f"expected an information record, got {end - offset} bytes", offset)
        kind, _, length = _INFO.unpack_from(data, offset)
        if not _INFO.size <= length <= end - offset:
            raise ParseError(
                f"expected a record of 4 to {end - offset} bytes, got {length}", offset + 2
            )
        if kind in _WITH_HANDLE:
            name_at = _key_end(data, offset, length)
            key = data[offset + _INFO.size : name_at]
            if kind == INFO_FID:
                target = key
            elif kind == INFO_OLD_DFID_NAME:
                old_directory, old_name = key, _name(data, name_at, offset + length)
            else:
                directory = key
                name = _name(data, name_at, offset + length) if kind in _NAMED else b""
        offset += length
    return FanotifyEvent(mask, pid, directory, name, target, old_directory, old_name)


def _key_end(data: bytes, offset: int, length: int) -> int:
    if length < _NAME_AT:
        raise ParseError(f"expected at least {_NAME_AT} bytes of identifier, got {length}", offset)
    (size,) = _HANDLE_LENGTH.unpack_from(data, offset + _HANDLE_AT)
    if size > HANDLE_BYTES_MAX or _NAME_AT + size > length:
        raise ParseError(
            f"expected a handle of at most {min(HANDLE_BYTES_MAX, length - _NAME_AT)} bytes, "
            f"got {size}",
            offset + _HANDLE_AT,
        )
    return offset + _NAME_AT + int(size)


def _name(data: bytes, start: int, end: int) -> bytes:
    stop = data.find(0, start, end)
    if stop < 0:
        raise ParseError("expected a name that ends with a zero byte, got none", start)
    return data[start:stop]
