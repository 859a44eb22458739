"""The file format of small durable values: a digest, a space, canonical JSON, a line feed.

The JSON is {"counter": n, "values": {name: value}}; the copy with the higher counter is the newer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypeAlias

from vedette.codec.strict_json import Json, canonical, parse
from vedette.errors import ParseError

MAX_BYTES = 64 << 10
"""Ours: some dozens of numbers and digests take 4 KB."""

Value: TypeAlias = int | str | tuple[str, ...]

_DIGEST_CHARS = 64


def encode(counter: int, values: Mapping[str, Value]) -> bytes:
    """One copy of the values, as `decode` reads it."""
    plain: dict[str, Json] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }
    body = canonical({"counter": counter, "values": plain})
    return b"%b %b\n" % (_digest(body), body)


def decode(data: bytes) -> tuple[int, dict[str, Value]]:
    """Read one copy: its counter and its values.

    Raises:
        ParseError: it was cut, altered, or never was such a file.
    """
    if len(data) > MAX_BYTES:
        raise ParseError(f"expected at most {MAX_BYTES} bytes of state, got {len(data)}")
    digest, body, end = data[:_DIGEST_CHARS], data[_DIGEST_CHARS + 1 : -1], data[-1:]
    if data[_DIGEST_CHARS : _DIGEST_CHARS + 1] != b" " or end != b"\n" or digest != _digest(body):
        raise ParseError("expected a digest and what it was made of, got something else")
    document = parse(body, max_bytes=MAX_BYTES)
    if not isinstance(document, dict):
        raise ParseError("expected a JSON object")
    counter, values = document.get("counter"), document.get("values")
    if type(counter) is not int or counter < 1 or not isinstance(values, dict):
        raise ParseError("expected a counter from 1 and an object of values")
    return counter, {name: _value(name, value) for name, value in values.items()}


def _value(name: str, value: Json) -> Value:
    if type(value) is int or isinstance(value, str):
        return value
    if isinstance(value, list):
        return tuple(_text(name, part) for part in value)
    raise ParseError(f"expected {name} to be a number, text or a list of texts")


def _text(name: str, value: Json) -> str:
    if not isinstance(value, str):
        raise ParseError(f"expected {name} to be a list of texts")
    return value


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
