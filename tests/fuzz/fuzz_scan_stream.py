"""Fuzzes what the sentinel reads from its scanner."""

from __future__ import annotations

from vedette.codec.scan_stream import (
    LENGTH,
    Differs,
    Finished,
    Found,
    Skipped,
    encode_message,
    frame_length,
    parse_message,
)
from vedette.errors import ParseError
from vedette.model.baseline import Difference, FileRecord, ScanCounts

_RECORD = FileRecord("/bin/su", "file", 0o104755, 0, 0, 5, 6, 7, 8, "ab" * 32, "0100")
SEEDS = (
    encode_message(Found(_RECORD)),
    encode_message(
        Differs(Difference("changed", "/bin/su", ("content", "mode"), _RECORD, _RECORD, ""))
    ),
    encode_message(Skipped("/etc", "Permission denied")),
    encode_message(Finished(ScanCounts(1, 2, 3, 4, 5))),
)


def target(data: bytes) -> None:
    """Any bytes give a ParseError, or a message that is written as the same bytes again."""
    try:
        frame_length(data[: LENGTH.size])
        message = parse_message(data[LENGTH.size :])
    except ParseError:
        return
    if encode_message(message)[LENGTH.size :] != data[LENGTH.size :]:
        raise AssertionError(f"{message!r} is written as other bytes")
