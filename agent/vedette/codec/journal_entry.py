"""The bytes of a journal entry that are hashed, and the note of how far the journal came.

A leaf is LEAF_MAGIC, then eleven fields, each four bytes of length (big endian) and that many
bytes: epoch, index, sequence, boot, kind, severity, wall clock (microseconds since 1970), topic,
incident, flags ("r" for routine), body. Numbers are decimal ASCII without leading zeros.

Rule 1: one entry, one encoding: `decode` refuses every other spelling.
Rule 2: this format is what `vedette verify` reads; a change of it needs a new LEAF_MAGIC.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from vedette.codec.merkle import Frontier, leaf_hash
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.journal import NOTHING_SPENT, Entry, EntryDraft, Spent

LEAF_MAGIC = b"vedette/journal-entry/v1"
MAX_BODY_BYTES = 128 << 10
"""Ours: OCSF findings are about 2 KB; a command line is cut at 4 KB long before."""
MAX_LEAF_BYTES = MAX_BODY_BYTES + 4096

_FIELDS = 11
_NUMBER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_LENGTH = struct.Struct(">I")
_TIP = struct.Struct(">4sQQQQ32sQQ")
_TIP_MAGIC = b"VJT2"


class Tip(NamedTuple):
    """How far a journal had come; kept outside of it, so that a lost tail is noticed."""

    epoch: int
    size: int
    newest_sequence: int
    delivered: int
    root: bytes
    spent: Spent = NOTHING_SPENT


def microseconds(wall_s: float) -> int:
    """Wall time as an entry keeps it."""
    return round(wall_s * 1_000_000)


def encode(entry: Entry) -> bytes:
    """The leaf of an entry."""
    draft = entry.draft
    fields = (
        b"%d" % entry.epoch,
        b"%d" % entry.index,
        b"%d" % entry.sequence,
        entry.boot.encode(),
        draft.kind.encode(),
        b"%d" % draft.severity,
        b"%d" % microseconds(draft.wall_s),
        draft.topic.encode(),
        draft.incident_id.encode(),
        b"r" if draft.is_routine else b"",
        draft.body,
    )
    return LEAF_MAGIC + b"".join(_LENGTH.pack(len(field)) + field for field in fields)


def decode(data: bytes) -> Entry:
    """Read a leaf.

    Raises:
        ParseError: it is not exactly what `encode` writes for some entry.
    """
    fields = _split(data)
    flags = fields[9]
    if flags not in (b"", b"r"):
        raise ParseError("expected the flags to be empty or r")
    draft = EntryDraft(
        kind=_text(fields[4]),
        severity=_severity(_number(fields[5])),
        wall_s=_number(fields[6]) / 1_000_000,
        body=fields[10],
        topic=_text(fields[7]),
        incident_id=_text(fields[8]),
        is_routine=flags == b"r",
    )
    epoch, index, sequence = (_number(field) for field in fields[:3])
    if min(epoch, index, sequence) < 0:
        raise ParseError("expected epoch, index and sequence from 0")
    entry = Entry(draft, epoch, index, sequence, _text(fields[3]))
    if encode(entry) != data:
        raise ParseError("expected the one encoding of this entry")
    return entry


def extend(frontier: Frontier, leaves: Iterable[bytes]) -> Frontier:
    """Recompute the chain: the frontier after these leaves, as they were exported, in order."""
    return frontier.appended(leaf_hash(leaf) for leaf in leaves)


def encode_tip(tip: Tip) -> bytes:
    """The tip with a digest behind it."""
    body = _TIP.pack(_TIP_MAGIC, *tip[:5], *tip.spent)
    return body + sha256(body).digest()


def decode_tip(data: bytes) -> Tip:
    """Read a tip.

    Raises:
        ParseError: it was cut or altered.
    """
    body, digest = data[: _TIP.size], data[_TIP.size :]
    if len(body) != _TIP.size or digest != sha256(body).digest():
        raise ParseError("expected the tip of a journal and its digest")
    magic, epoch, size, newest, delivered, root, size_bytes, day_s = _TIP.unpack(body)
    if magic != _TIP_MAGIC:
        raise ParseError(f"expected {_TIP_MAGIC!a}, got {magic!a}")
    return Tip(epoch, size, newest, delivered, root, Spent(size_bytes, day_s))


def _split(data: bytes) -> list[bytes]:
    if not data.startswith(LEAF_MAGIC):
        raise ParseError(f"expected an entry to begin with {LEAF_MAGIC.decode()}")
    if len(data) > MAX_LEAF_BYTES:
        raise ParseError(f"expected at most {MAX_LEAF_BYTES} bytes, got {len(data)}")
    offset, fields = len(LEAF_MAGIC), []
    for _ in range(_FIELDS):
        start = offset + _LENGTH.size
        if start > len(data):
            raise ParseError("expected another field, the entry ends", offset)
        offset = start + _LENGTH.unpack_from(data, offset)[0]
        if offset > len(data):
            raise ParseError("expected a whole field, the entry ends", start)
        fields.append(data[start:offset])
    if offset != len(data):
        raise ParseError("expected the end of the entry", offset)
    return fields


def _number(field: bytes) -> int:
    if not _NUMBER.fullmatch(field):
        raise ParseError("expected a whole number")
    return int(field)


def _text(field: bytes) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError as error:
        raise ParseError("expected UTF-8") from error


def _severity(number: int) -> Severity:
    try:
        return Severity(number)
    except ValueError as error:
        raise ParseError(f"expected a severity from 1 to 5, got {number}") from error
