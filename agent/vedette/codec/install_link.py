"""Frames between installer and updater, over one SOCK_STREAM pair.

Rule 1: a frame is its length (4 bytes, native order: both ends run on one machine), a tag byte and
a body; any bytes give a frame or ParseError.
Rule 2: frames are bounded, so that neither end can fill the other's memory.
Rule 3: the installer asks, the updater answers in order: `Data` frames, then `End`, `Absent` or
`Failed`. The installer may ask ahead. What comes is bytes: the installer believes none of them.
Rule 4: offsets and lengths have 63 bits, so that nothing wraps at 2**31 or 2**32.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from vedette.errors import ParseError

MAX_DATA_BYTES: Final = 256 << 10
"""Of one Data frame: large enough that the calls do not count, small beside 16 MB."""
MAX_RUNS: Final = 4096
MAX_NAME_BYTES: Final = 2048
"""Of a metadata file: a role's name with each of its bytes quoted."""
MAX_PATH_BYTES: Final = 2048
MAX_REASON_BYTES: Final = 1024
MAX_FRAME_BYTES: Final = 1 + MAX_DATA_BYTES
HIGHEST: Final = 2**63 - 1

LENGTH: Final = Struct("=I")

_METADATA, _TARGET, _LEAVE, _DATA, _END, _ABSENT, _FAILED = b"MTLDEAF"
_SIZE = Struct("=Q")
_HEAD = Struct("=HH")  # runs, bytes of path
_RUN = Struct("=QQ")
_NAME = re.compile(r"[A-Za-z0-9_.~%-]+\.json")


class WantMetadata(NamedTuple):
    """Installer: the whole metadata file of this name, at most so many bytes.

    The name is one path segment as URLs have it: "timestamp.json", "2.root.json".
    """

    name: str
    max_bytes: int


class WantTarget(NamedTuple):
    """Installer: these parts of a target file, back to back; each is (offset, length) in bytes.

    The path is the one to ask for, the digest in front of its last segment included.
    """

    path: str
    runs: tuple[tuple[int, int], ...]


class Leave(NamedTuple):
    """Installer: that was all; what the updater kept for a second try may go."""


class Data(NamedTuple):
    """Updater: the next bytes of the answer; a view into the buffer that was decoded."""

    data: memoryview


class End(NamedTuple):
    """Updater: the answer is whole."""


class Absent(NamedTuple):
    """Updater: there is no such file."""

    reason: str


class Failed(NamedTuple):
    """Updater: it could not be fetched, or not to its end."""

    reason: str


Frame: TypeAlias = WantMetadata | WantTarget | Leave | Data | End | Absent | Failed


def encode(frame: Frame) -> bytes:
    """One whole frame; of Data only the head (`data_head`), its bytes are sent after it.

    Raises:
        ValueError: a name, path or number is beyond its bounds.
    """
    if isinstance(frame, Data):
        return data_head(len(frame.data)) + bytes(frame.data)
    body = _body(frame)
    return LENGTH.pack(len(body)) + body


def data_head(length: int) -> bytes:
    """What goes before the bytes of a Data frame, so that they need not be copied.

    Raises:
        ValueError: there are none, or more than MAX_DATA_BYTES.
    """
    if not 0 < length <= MAX_DATA_BYTES:
        raise ValueError(f"expected 1 to {MAX_DATA_BYTES} bytes of data, got {length}")
    return LENGTH.pack(1 + length) + bytes((_DATA,))


def frame_length(head: bytes | bytearray | memoryview) -> int:
    """The length that a frame's first four bytes tell.

    Raises:
        ParseError: it is 0 or above MAX_FRAME_BYTES.
    """
    if len(head) != LENGTH.size:
        raise ParseError(f"expected {LENGTH.size} bytes of frame length, got {len(head)}")
    length = int(LENGTH.unpack(head)[0])
    if not 0 < length <= MAX_FRAME_BYTES:
        raise ParseError(f"expected a frame of 1 to {MAX_FRAME_BYTES} bytes, got {length}")
    return length


def decode(frame: bytes | bytearray | memoryview) -> Frame:
    """Read one frame without its length.

    Raises:
        ParseError: the bytes are not exactly one frame.
    """
    view = memoryview(frame)
    if not 0 < len(view) <= MAX_FRAME_BYTES:
        raise ParseError(f"expected a frame of 1 to {MAX_FRAME_BYTES} bytes, got {len(view)}")
    tag, body = view[0], view[1:]
    if tag == _DATA:  # the one that comes by the hundred thousand
        if not body:
            raise ParseError("expected data, got none", 1)
        return Data(body)
    read = _READERS.get(tag)
    if read is None:
        raise ParseError(f"expected a tag of MTLDEAF, got {bytes(view[:1])!r}")
    return read(body)


def check_runs(runs: Sequence[tuple[int, int]]) -> int:
    """How many bytes these parts are together.

    Raises:
        ValueError: there are none or too many, they are empty, out of order or overlap, or reach
            beyond HIGHEST.
    """
    if not 0 < len(runs) <= MAX_RUNS:
        raise ValueError(f"expected 1 to {MAX_RUNS} runs, got {len(runs)}")
    before = total = 0
    for offset, length in runs:
        if length < 1 or offset < before or offset + length > HIGHEST:
            raise ValueError(f"expected a run from {before} or later, got {length} at {offset}")
        before, total = offset + length, total + length
    return total


def _body(frame: WantMetadata | WantTarget | Leave | End | Absent | Failed) -> bytes:
    match frame:
        case WantMetadata(name, max_bytes):
            _check_name(name)
            return bytes((_METADATA,)) + _SIZE.pack(_checked(max_bytes)) + name.encode()
        case WantTarget(path, runs):
            check_runs(runs)
            raw = _checked_path(path)
            head = bytes((_TARGET,)) + _HEAD.pack(len(runs), len(raw))
            return head + b"".join(_RUN.pack(*run) for run in runs) + raw
        case Leave():
            return bytes((_LEAVE,))
        case End():
            return bytes((_END,))
        case Absent(reason):
            return bytes((_ABSENT,)) + _short(reason)
        case Failed(reason):
            return bytes((_FAILED,)) + _short(reason)


def _want_metadata(body: memoryview) -> WantMetadata:
    if len(body) < _SIZE.size:
        raise ParseError(f"expected {_SIZE.size} bytes of size, got {len(body)}", 1)
    name = _text(body[_SIZE.size :])
    try:
        _check_name(name)
        return WantMetadata(name, _checked(int(_SIZE.unpack_from(body)[0])))
    except ValueError as error:
        raise ParseError(str(error), 1) from error


def _want_target(body: memoryview) -> WantTarget:
    try:
        count, path_bytes = _HEAD.unpack_from(body)
        end = _HEAD.size + count * _RUN.size
        if len(body) != end + path_bytes:
            raise ParseError(f"expected {end + path_bytes} bytes, got {len(body)}", 1)
        runs = tuple(_RUN.iter_unpack(body[_HEAD.size : end]))
        check_runs(runs)
        path = _text(body[end:])
        _checked_path(path)
    except (struct.error, ValueError) as error:
        raise ParseError(f"expected runs and a path: {error}", 1) from error
    return WantTarget(path, runs)


def _leave(body: memoryview) -> Leave:
    _check_empty(body)
    return Leave()


def _end(body: memoryview) -> End:
    _check_empty(body)
    return End()


def _check_empty(body: memoryview) -> None:
    if body:
        raise ParseError(f"expected no more bytes, got {len(body)}", 1)


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME_BYTES or not _NAME.fullmatch(name):
        raise ValueError(f"expected the name of a metadata file, got {name[:80]!a}")


def _checked_path(path: str) -> bytes:
    try:
        raw = path.encode()
    except UnicodeEncodeError as error:
        raise ValueError("expected a path of whole characters") from error
    if not 0 < len(raw) <= MAX_PATH_BYTES or not path.isprintable() or path.startswith("/"):
        raise ValueError(f"expected a relative path of printable characters, got {path[:80]!a}")
    return raw


def _checked(number: int) -> int:
    if not 0 < number <= HIGHEST:
        raise ValueError(f"expected a number of bytes from 1 to {HIGHEST}, got {number}")
    return number


def _short(reason: str) -> bytes:
    return reason.encode("utf-8", "replace")[:MAX_REASON_BYTES]


def _reason(body: memoryview) -> str:
    if len(body) > MAX_REASON_BYTES:
        raise ParseError(f"expected a reason of at most {MAX_REASON_BYTES} bytes, got {len(body)}")
    return bytes(body).decode("utf-8", "replace")


def _text(raw: memoryview) -> str:
    try:
        return bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParseError("expected UTF-8", 1 + error.start) from error


_READERS: Final[Mapping[int, Callable[[memoryview], Frame]]] = {
    _METADATA: _want_metadata,
    _TARGET: _want_target,
    _LEAVE: _leave,
    _END: _end,
    _ABSENT: lambda body: Absent(_reason(body)),
    _FAILED: lambda body: Failed(_reason(body)),
}
