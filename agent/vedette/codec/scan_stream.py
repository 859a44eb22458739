"""What the scanner tells the sentinel over a pipe, and the bytes a baseline's digest covers.

Rule 1: a frame is its length (4 bytes, native order: both ends run on one machine), a tag byte and
a body; any bytes give a message or ParseError.
Rule 2: frames are bounded, so that a broken scanner cannot fill the sentinel's memory.
"""

from __future__ import annotations

import struct
from struct import Struct
from typing import Final, NamedTuple, TypeAlias, cast

from vedette.errors import ParseError
from vedette.model.baseline import Change, Difference, FileRecord, ScanCounts

FRAME_BYTES_MAX: Final = 1 << 20
"""A path of 512 levels has 131 KB, and a difference holds it three times."""

KINDS: Final = ("file", "link", "dir", "other")
CHANGES: Final[tuple[Change, ...]] = ("added", "removed", "changed")
LENGTH: Final = Struct("=I")

_FOUND, _DIFFERS, _SKIPPED, _FINISHED = b"FDSE"
_RECORD = Struct("=BIIIqQqqBBI")  # ..., digest length, capabilities length, path length
_HAS = Struct("=BBI")  # change, which records follow (1 expected, 2 found), length of the words
_COUNTS = Struct("=QQQQQ")
_SKIP = Struct("=I")
_EXPECTED = Struct(">IBIIIq32sB")


class Found(NamedTuple):
    """A file as it is: all of them in a first scan, later those whose times alone moved."""

    record: FileRecord


class Differs(NamedTuple):
    """A file that is not as expected."""

    difference: Difference


class Skipped(NamedTuple):
    """What could not be judged, and why."""

    path: str
    reason: str


class Finished(NamedTuple):
    """The last message: without it the scan was cut short."""

    counts: ScanCounts


Message: TypeAlias = Found | Differs | Skipped | Finished


def encode_message(message: Message) -> bytes:
    """One whole frame."""
    body = _body(message)
    return LENGTH.pack(len(body)) + body


def frame_length(head: bytes) -> int:
    """The length that a frame's first four bytes tell.

    Raises:
        ParseError: it is 0 or above FRAME_BYTES_MAX.
    """
    if len(head) != LENGTH.size:
        raise ParseError(f"expected {LENGTH.size} bytes of frame length, got {len(head)}")
    (length,) = LENGTH.unpack(head)
    if not 0 < length <= FRAME_BYTES_MAX:
        raise ParseError(f"expected a frame of 1 to {FRAME_BYTES_MAX} bytes, got {length}")
    return cast("int", length)


def parse_message(frame: bytes) -> Message:
    """Read a frame without its length.

    Raises:
        ParseError: the bytes are not one whole message.
    """
    try:
        message, end = _parse(frame)
    except (struct.error, IndexError) as error:
        raise ParseError(f"expected a whole message, got {error}", len(frame)) from error
    if end != len(frame):
        raise ParseError(f"expected {end} bytes, got {len(frame)}", end)
    return message


def expected_bytes(record: FileRecord) -> bytes:
    """What a digest of a baseline covers of one file: all but inode and times.

    Path length, kind, mode, uid, gid, size, digest (zeros for none) and capabilities length, big
    endian; then the path and the capabilities.
    """
    path, capabilities = _bytes(record.path), bytes.fromhex(record.capabilities)
    head = _EXPECTED.pack(
        len(path), KINDS.index(record.kind), record.mode, record.uid, record.gid,
        record.size_bytes, bytes.fromhex(record.digest), len(capabilities),
    )  # fmt: skip
    return head + path + capabilities


def _body(message: Message) -> bytes:
    match message:
        case Found(record):
            return bytes((_FOUND,)) + _record(record)
        case Differs(difference):
            return bytes((_DIFFERS,)) + _difference(difference)
        case Skipped(path, reason):
            raw = _bytes(path)
            return bytes((_SKIPPED,)) + _SKIP.pack(len(raw)) + raw + _bytes(reason)
        case Finished(counts):
            return bytes((_FINISHED,)) + _COUNTS.pack(*counts)


def _record(record: FileRecord) -> bytes:
    path, digest = _bytes(record.path), bytes.fromhex(record.digest)
    capabilities = bytes.fromhex(record.capabilities)
    head = _RECORD.pack(
        KINDS.index(record.kind), record.mode, record.uid, record.gid, record.size_bytes,
        record.inode, record.mtime_ns, record.ctime_ns, len(digest), len(capabilities), len(path),
    )  # fmt: skip
    return head + digest + capabilities + path


def _difference(difference: Difference) -> bytes:
    words = _bytes("\n".join(difference.words))
    given = (difference.expected, difference.found)
    has = (given[0] is not None) + 2 * (given[1] is not None)
    head = _HAS.pack(CHANGES.index(difference.change), has, len(words))
    records = b"".join(_record(record) for record in given if record is not None)
    return head + words + records


def _parse(frame: bytes) -> tuple[Message, int]:
    tag = frame[0]
    if tag == _FOUND:
        record, end = _parse_record(frame, 1)
        return Found(record), end
    if tag == _DIFFERS:
        return _parse_difference(frame)
    if tag == _SKIPPED:
        (length,) = _SKIP.unpack_from(frame, 1)
        start = 1 + _SKIP.size
        path = _take(frame, start, length)
        return Skipped(_text(path), _text(frame[start + length :])), len(frame)
    if tag == _FINISHED:
        return Finished(ScanCounts(*_COUNTS.unpack_from(frame, 1))), 1 + _COUNTS.size
    raise ParseError(f"expected a message tag F, D, S or E, got {frame[:1]!r}")


def _parse_difference(frame: bytes) -> tuple[Differs, int]:
    change, has, length = _HAS.unpack_from(frame, 1)
    if change >= len(CHANGES) or not 1 <= has <= 3:  # noqa: PLR2004 (two bits)
        raise ParseError(f"expected a change below 3 and 1 to 3 records, got {change}, {has}", 1)
    offset = 1 + _HAS.size
    text = _text(_take(frame, offset, length))
    offset += length
    expected = found = None
    if has & 1:
        expected, offset = _parse_record(frame, offset)
    if has & 2:
        found, offset = _parse_record(frame, offset)
    path = (found or cast("FileRecord", expected)).path
    words = tuple(text.split("\n")) if text else ()
    return Differs(Difference(CHANGES[change], path, words, expected, found, "")), offset


def _parse_record(frame: bytes, offset: int) -> tuple[FileRecord, int]:
    kind, mode, uid, gid, size, inode, mtime, ctime, digest_length, caps_length, path_length = (
        _RECORD.unpack_from(frame, offset)
    )
    if kind >= len(KINDS) or digest_length not in {0, 32}:
        raise ParseError(
            f"expected a kind below 4 and a digest of 0 or 32, got {kind} and {digest_length}",
            offset,
        )
    offset += _RECORD.size
    digest = _take(frame, offset, digest_length)
    offset += digest_length
    capabilities = _take(frame, offset, caps_length)
    offset += caps_length
    path = _text(_take(frame, offset, path_length))
    record = FileRecord(
        path, KINDS[kind], mode, uid, gid, size, inode, mtime, ctime,
        digest.hex(), capabilities.hex(),
    )  # fmt: skip
    return record, offset + path_length


def _take(frame: bytes, offset: int, length: int) -> bytes:
    if offset + length > len(frame):
        raise ParseError(f"expected {length} more bytes, got {len(frame) - offset}", offset)
    return frame[offset : offset + length]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
