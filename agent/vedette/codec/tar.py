"""Headers of a tar archive (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar's long names).

Rule 1: a header whose checksum does not hold is none; nothing is guessed over it.
Rule 2: names are text as UTF-8, a name or number that cannot be told for certain is a ParseError.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

from vedette.errors import ParseError

BLOCK_BYTES: Final = 512
MAX_NAME_BYTES: Final = 1024
"""Ours: no path of a repository is longer (codec/release.py)."""
MAX_EXTENSION_BYTES: Final = 8192
"""Ours: of a long name or of extended attributes; they come before the member they belong to."""

_CHECKSUM: Final = slice(148, 156)
_OCTAL: Final = re.compile(rb" *([0-7]{1,21})[ \0]*")
_RECORD: Final = re.compile(rb"([1-9][0-9]{0,5}) ([^=\n]{1,256})=")
_BASE_256: Final = 0x80
_NUMBERS_END: Final = 1 << 62


class Kind(StrEnum):
    """What a header announces."""

    FILE = "file"
    FOLDER = "folder"
    LONG_NAME = "long name"
    EXTENDED = "extended header"
    GLOBAL = "global header"
    OTHER = "link, device or other"


_KINDS: Final = {
    b"0": Kind.FILE, b"\0": Kind.FILE, b"7": Kind.FILE, b"5": Kind.FOLDER,
    b"L": Kind.LONG_NAME, b"x": Kind.EXTENDED, b"g": Kind.GLOBAL,
}  # fmt: skip


class Header(NamedTuple):
    """One header.

    Attributes:
        kind: of what follows.
        name: of the member.
        size: bytes that follow, before they are filled up to a block.
    """

    kind: Kind
    name: str
    size: int


def header(block: bytes) -> Header | None:
    """Read a header; None for the zeros at the end of an archive.

    Args:
        block: BLOCK_BYTES.

    Raises:
        ParseError: it is none.
    """
    if len(block) != BLOCK_BYTES:
        raise ParseError(f"expected a block of {BLOCK_BYTES} bytes, got {len(block)}")
    if not any(block):
        return None
    blank = block[:148] + b" " * 8 + block[156:]
    if _number(block[_CHECKSUM], "a checksum") != sum(blank):
        raise ParseError("expected a header of tar, its checksum does not hold")
    name = _until_zero(block[:100])
    if block[257:263] == b"ustar\0" and (prefix := _until_zero(block[345:500])):
        name = prefix + b"/" + name
    kind = _KINDS.get(block[156:157], Kind.OTHER)
    return Header(kind, _text(name), _number(block[124:136], "a size"))


def long_name(data: bytes) -> str:
    """The name that a member of kind LONG_NAME holds for the next one.

    Raises:
        ParseError: it is none.
    """
    return _text(_until_zero(data))


def extended(data: bytes) -> dict[str, str]:
    """The records of an extended header that say where and how long: "path" and "size".

    Raises:
        ParseError: it is none.
    """
    found: dict[str, str] = {}
    place = 0
    while place < len(data):
        match = _RECORD.match(data, place)
        end = place + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(data) or data[end - 1] != ord("\n"):
            raise ParseError(f"expected a record of an extended header at byte {place}")
        if match[2] in {b"path", b"size"}:
            found[match[2].decode("ascii")] = _text(data[match.end() : end - 1])
        place = end
    return found


def size_of(text: str) -> int:
    """The "size" of an extended header.

    Raises:
        ParseError: it is no number, or one that no file has.
    """
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) >= _NUMBERS_END:
        raise ParseError(f"expected a size, got {text[:40]!a}")
    return int(text)


def _number(field: bytes, what: str) -> int:
    """Octal digits, or GNU tar's base 256 for what needs more than they hold."""
    match = _OCTAL.fullmatch(field)
    if match is not None:
        return int(match[1], 8)
    value = int.from_bytes(field[1:], "big")
    if field[0] != _BASE_256 or value >= _NUMBERS_END:
        raise ParseError(f"expected {what} in octal digits, got {field!r}")
    return value


def _until_zero(data: bytes) -> bytes:
    return data.partition(b"\0")[0]


def _text(data: bytes) -> str:
    if len(data) > MAX_NAME_BYTES:
        raise ParseError(f"expected at most {MAX_NAME_BYTES} bytes of a name, got {len(data)}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParseError(f"expected UTF-8, got {data[:60]!r}") from error
