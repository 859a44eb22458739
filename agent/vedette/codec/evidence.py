"""The evidence of an incident on its way: one document, compressed, in numbered parts.

    {"command": "<digest of the command that asked>", "data": "<base64>", "incident": "...",
     "part": 1, "parts": 3, "sha256": "<of all data joined>"}

Rule 1: any parts give the document or a ParseError; what they unpack to is bounded.
Rule 2: parts come in any order and twice; the digest says that all are there and fit together.
"""

from __future__ import annotations

import binascii
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from vedette.codec import strict_json
from vedette.codec.strict_json import Json
from vedette.codec.text import quoted
from vedette.errors import ParseError

MAX_PARTS = 64
MAX_DOCUMENT_BYTES = 2 << 20
"""Ours: what one incident may cost a metered link before compression."""
PART_BYTES = 36 << 10
"""Of packed data: in base64, with all else, below the 64 KiB of a frame to the uplink."""
SMALLEST_PART_BYTES = 512

_NAMES = frozenset({"command", "data", "incident", "part", "parts", "sha256"})
_DIGEST = re.compile(r"[0-9a-f]{64}")
_INCIDENT = re.compile(r"[0-9a-f]{1,64}")


class Part(NamedTuple):
    """One part, its place counted from 1."""

    command: str
    incident: str
    part: int
    parts: int
    sha256: str
    data: bytes


def split(document: Json, *, command: str, incident: str, part_bytes: int) -> list[dict[str, Json]]:
    """The parts of a document, as JSON.

    Args:
        command: digest of the command that asked for it.
        part_bytes: of packed data in each; raised where it would make more than MAX_PARTS.

    Raises:
        ValueError: the document is larger than MAX_DOCUMENT_BYTES.
    """
    raw = strict_json.canonical(document)
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"expected at most {MAX_DOCUMENT_BYTES} bytes, got {len(raw)}")
    packed = zlib.compress(raw)
    size = max(part_bytes, SMALLEST_PART_BYTES, -(-len(packed) // MAX_PARTS))
    pieces = [packed[start : start + size] for start in range(0, len(packed), size)]
    digest = sha256(packed).hexdigest()
    return [
        {
            "command": command,
            "data": b64encode(piece).decode(),
            "incident": incident,
            "part": number,
            "parts": len(pieces),
            "sha256": digest,
        }
        for number, piece in enumerate(pieces, 1)
    ]


def parse_part(document: Json) -> Part:
    """Read one part.

    Raises:
        ParseError: it is none.
    """
    if not isinstance(document, dict) or document.keys() != _NAMES:
        raise ParseError(f"expected a part with {', '.join(sorted(_NAMES))}")
    part, parts = document["part"], document["parts"]
    if type(part) is not int or type(parts) is not int or not 1 <= part <= parts <= MAX_PARTS:
        raise ParseError(f"expected part 1 to {MAX_PARTS}, got {quoted(part)} of {quoted(parts)}")
    data = document["data"]
    try:
        raw = b64decode(data, validate=True) if isinstance(data, str) else b""
    except (binascii.Error, ValueError) as error:
        raise ParseError("expected data in base64") from error
    if not raw:
        raise ParseError("expected data in base64, got none")
    return Part(
        _matching(document["command"], _DIGEST),
        _matching(document["incident"], _INCIDENT),
        part,
        parts,
        _matching(document["sha256"], _DIGEST),
        raw,
    )


def missing(parts: Iterable[Part]) -> list[int]:
    """The numbers of the parts that are not there yet; [0] while there is none at all."""
    found = {part.part: part for part in parts}
    if not found:
        return [0]
    most = max(part.parts for part in found.values())
    return [number for number in range(1, most + 1) if number not in found]


def join(parts: Iterable[Part]) -> Json:
    """The document.

    Args:
        parts: of one answer, all of them, in any order.

    Raises:
        ParseError: they are not all, do not belong together, or hold no document.
    """
    found = {part.part: part for part in parts}
    heads = {(part.command, part.incident, part.parts, part.sha256) for part in found.values()}
    if len(heads) != 1 or missing(found.values()):
        raise ParseError(f"expected all parts of one answer, got {len(found)} of {len(heads)}")
    packed = b"".join(found[number].data for number in sorted(found))
    if sha256(packed).hexdigest() != next(iter(found.values())).sha256:
        raise ParseError("expected parts that fit their digest: one of them was altered")
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, MAX_DOCUMENT_BYTES)
    except zlib.error as error:
        raise ParseError(f"expected packed data: {error}") from error
    if not unpacker.eof or unpacker.unused_data:
        raise ParseError(f"expected one document of at most {MAX_DOCUMENT_BYTES} bytes")
    return strict_json.parse(raw, max_bytes=MAX_DOCUMENT_BYTES)


def _matching(value: Json, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise ParseError(f"expected hex digits, got {quoted(value)}")
    return value
