"""JSON as signed documents need it: one meaning for one run of bytes.

Rule 1: UTF-8, objects without repeated names, no NaN, no lone surrogate, bounded in size and depth.
Rule 2: `canonical` gives the same bytes for the same value everywhere: names sorted by code point,
no spaces, no escapes beyond those RFC 8259 section 7 demands.
"""

from __future__ import annotations

import json
import re
from typing import NoReturn, TypeAlias

from vedette.errors import ParseError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_DEPTH = 32
"""Our documents nest five deep; json itself would follow until the C stack ends."""

# An unclosed string ends with the input: otherwise each of its quotes would start a new search.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def parse(data: bytes, *, max_bytes: int) -> Json:
    """Read one JSON value.

    Args:
        data: the whole document, RFC 8259, without a byte order mark.
        max_bytes: the largest size that is looked at.

    Raises:
        ParseError: it is too long, not UTF-8, not JSON, or could be read in two ways.
    """
    if len(data) > max_bytes:
        raise ParseError(f"expected at most {max_bytes} bytes of JSON, got {len(data)}", max_bytes)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParseError("expected UTF-8", error.start) from error
    _check_depth(data)
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        raise ParseError(f"expected JSON: {error.msg}", error.pos) from error
    except ValueError as error:  # an integer of thousands of digits
        raise ParseError("expected numbers of at most 4300 digits") from error
    if "\\u" in text:
        _check_surrogates(value)
    return value


def canonical(value: Json) -> bytes:
    """The one encoding of a value that is hashed and signed; it holds no NaN and no surrogate."""
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    ).encode()


def _check_depth(data: bytes) -> None:
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return  # as in an envelope: looking through its megabytes would take milliseconds
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", data)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ParseError(f"expected at most {MAX_DEPTH} levels of nesting")


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ParseError(f"expected each name once in an object, got {twice[:64]!a} again")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ParseError(f"expected a finite number, got {text[:64]}")
    return value


def _refuse_constant(word: str) -> NoReturn:
    raise ParseError(f"expected a finite number, got {word}")


def _check_surrogates(value: Json) -> None:
    try:
        canonical(value)
    except UnicodeEncodeError as error:
        raise ParseError("expected whole characters, got half a surrogate pair") from error
