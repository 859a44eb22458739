"""Reads the events of a fanotify group that decides on executions, and writes its answers.

Layouts are those of fanotify(7). Rule 1: any bytes give a list of events or ParseError; unknown
information records are skipped. Rule 2: no typing and no named tuples (see model/denial.py).
"""

from __future__ import annotations

from struct import Struct

from vedette.errors import ParseError

CLOSE_WRITE = 0x8
Q_OVERFLOW = 0x4000
OPEN_EXEC_PERM = 0x4_0000

ALLOW = 1
DENY = 2
NO_DESCRIPTOR = -1

METADATA_VERSION = 3
_METADATA = Struct("=IBBHQii")
_ANSWER = Struct("=iI")


def parse_events(data: bytes) -> list[tuple[int, int, int]]:
    """Read everything that one read(2) of the group gave.

    Args:
        data: whole events, as the kernel hands them out.

    Returns:
        (mask, descriptor of the file or NO_DESCRIPTOR, pid) of each; descriptors are the reader's
        to close.

    Raises:
        ParseError: the bytes are not whole events of version 3.
    """
    events: list[tuple[int, int, int]] = []
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < _METADATA.size:
            raise ParseError(f"expected {_METADATA.size} bytes, got {end - offset}", offset)
        length, version, _, head, mask, descriptor, pid = _METADATA.unpack_from(data, offset)
        if version != METADATA_VERSION:
            raise ParseError(f"expected fanotify version 3, got {version}", offset + 4)
        if not _METADATA.size <= head <= length <= end - offset:
            raise ParseError(
                f"expected 24 <= metadata_len <= event_len <= {end - offset}, got {head} and "
                f"{length}", offset,
            )  # fmt: skip
        if descriptor < NO_DESCRIPTOR:
            raise ParseError(f"expected a descriptor or -1, got {descriptor}", offset + 16)
        events.append((mask, descriptor, pid))
        offset += length
    return events


def encode_answer(descriptor: int, answer: int) -> bytes:
    """The answer to one permission event: ALLOW or DENY, by its descriptor's number."""
    return _ANSWER.pack(descriptor, answer)
