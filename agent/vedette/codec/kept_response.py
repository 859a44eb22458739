"""A response as the disk keeps it: a digest, a space, canonical JSON, a line feed.

    {"boot": "<32 hex digits>", "order": {...}, "record": {...}, "remaining": 540.5,
     "until": 1893.2}

Rule: what was cut or altered is never half believed: a ParseError.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from vedette.codec.response import plain_order, plain_record, read_order, read_record
from vedette.codec.strict_json import Json, canonical, parse
from vedette.codec.text import quoted
from vedette.errors import ParseError
from vedette.model.response import Order, UndoRecord

MAX_BYTES = 64 << 10
"""Ours: an undo record of a file with its extended attributes takes some KB."""

_DIGEST_CHARS = 64
_BOOT = re.compile(r"[0-9a-f]{32}")
_NAMES = frozenset({"boot", "order", "record", "remaining", "until"})
_MAX_SECONDS = 2.0**53


class KeptResponse(NamedTuple):
    """All that is needed to end a response, or to do it again after a restart.

    Attributes:
        boot: the kernel's boot id under which it was written.
        until_s: CLOCK_BOOTTIME of that boot at which it ends; 0 until undone.
        remaining_s: seconds that were left when it was written, for every other boot; 0 until
            undone.
    """

    order: Order
    record: UndoRecord
    boot: str
    until_s: float
    remaining_s: float

    def left_s(self, boot: str, at_s: float) -> float:
        """Seconds of running time that are left now; 0 until undone, negative when it is over."""
        if not self.remaining_s:
            return 0.0
        left = self.until_s - at_s if boot == self.boot else self.remaining_s
        return left or -1.0


def encode(kept: KeptResponse) -> bytes:
    """The content of its file.

    Raises:
        ParseError: it is none that `decode` would read.
    """
    body = canonical(
        {
            "boot": kept.boot,
            "order": plain_order(kept.order),
            "record": plain_record(kept.record),
            "remaining": kept.remaining_s,
            "until": kept.until_s,
        }
    )
    data = b"%b %b\n" % (_digest(body), body)
    decode(data)
    return data


def decode(data: bytes) -> KeptResponse:
    """Read the content of a file.

    Raises:
        ParseError: it was cut, altered, or never was such a file.
    """
    if len(data) > MAX_BYTES:
        raise ParseError(f"expected at most {MAX_BYTES} bytes of a response, got {len(data)}")
    digest, body, end = data[:_DIGEST_CHARS], data[_DIGEST_CHARS + 1 : -1], data[-1:]
    if data[_DIGEST_CHARS : _DIGEST_CHARS + 1] != b" " or end != b"\n" or digest != _digest(body):
        raise ParseError("expected a digest and what it was made of, got something else")
    fields = parse(body, max_bytes=MAX_BYTES)
    if not isinstance(fields, dict) or fields.keys() != _NAMES:
        raise ParseError(f"expected {', '.join(sorted(_NAMES))}, got {quoted(fields)}")
    boot = fields["boot"]
    if not isinstance(boot, str) or not _BOOT.fullmatch(boot):
        raise ParseError(f"expected a boot id of 32 hex digits, got {quoted(boot)}")
    return KeptResponse(
        read_order(fields["order"]),
        read_record(fields["record"]),
        boot,
        _seconds(fields["until"], "until"),
        _seconds(fields["remaining"], "remaining"),
    )


def _seconds(value: Json, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParseError(f"expected {name} to be seconds from 0, got {quoted(value)}")
    if not 0 <= value <= _MAX_SECONDS:
        raise ParseError(f"expected {name} to be seconds from 0, got {quoted(value)}")
    return float(value)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
