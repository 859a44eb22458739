"""DSSE envelopes, version 1 (github.com/secure-systems-lab/dsse): a payload and its signatures.

Rule 1: what is signed is the PAE of type and payload, never the JSON around them.
Rule 2: reading proves nothing; trust/ decides whose signatures count.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import NamedTuple

from vedette.codec.strict_json import Json, canonical, parse
from vedette.errors import ParseError

MAX_ENVELOPE_BYTES = 8 << 20
"""Ours: a bundle of 5,000 rules is under 3 MB; a device must hold it in memory."""

MAX_SIGNATURES = 32
"""Ours: each costs a verification (0.14 ms on x86-64, some ms on a small ARM)."""

_MAX_TYPE_CHARS = 256
_MAX_KEYID_CHARS = 128
_MAX_SIGNATURE_BYTES = 8192  # ML-DSA-87 has 4627
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_PIECE_CHARS = 1 << 18
"""Decoded at once, in a call that holds the interpreter: other threads run in between."""


class Signature(NamedTuple):
    """One signature; `keyid` is a hint of its maker and "" where none was given."""

    keyid: str
    sig: bytes


class Envelope(NamedTuple):
    """A payload as it was signed; no two signatures are the same."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: DSSE v1 protocol, "PAE definition"."""
    name = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def encode(payload_type: str, payload: bytes, signatures: Sequence[tuple[str, bytes]]) -> bytes:
    """Write an envelope; the same arguments give the same bytes.

    Args:
        payload_type: a media type.
        payload: what `pae` was signed over.
        signatures: (keyid, signature) pairs.
    """
    rows: list[Json] = [{"keyid": keyid, "sig": _base64(sig)} for keyid, sig in signatures]
    return canonical({"payload": _base64(payload), "payloadType": payload_type, "signatures": rows})


def decode(data: bytes) -> Envelope:
    """Read an envelope of at most MAX_ENVELOPE_BYTES; names it does not know are passed over.

    Raises:
        ParseError: it is no DSSE v1 envelope, or holds no signature at all.
    """
    document = _object(parse(data, max_bytes=MAX_ENVELOPE_BYTES), "the envelope")
    rows = document.get("signatures")
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_SIGNATURES:
        raise ParseError(f"expected signatures to be a list of 1 to {MAX_SIGNATURES}")
    signatures = dict.fromkeys(_signature(row) for row in rows)
    return Envelope(
        _text(document, "payloadType", _MAX_TYPE_CHARS),
        _bytes(document, "payload"),
        tuple(signatures),
    )


def _signature(row: Json) -> Signature:
    entry = _object(row, "each signature")
    keyid = _text(entry, "keyid", _MAX_KEYID_CHARS) if "keyid" in entry else ""
    sig = _bytes(entry, "sig")
    if not 1 <= len(sig) <= _MAX_SIGNATURE_BYTES:
        raise ParseError(f"expected sig to hold 1 to {_MAX_SIGNATURE_BYTES} bytes, got {len(sig)}")
    return Signature(keyid, sig)


def _object(value: Json, what: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ParseError(f"expected {what} to be a JSON object, got {type(value).__name__}")
    return value


def _text(document: dict[str, Json], name: str, max_chars: int) -> str:
    value = document.get(name)
    if not isinstance(value, str) or len(value) > max_chars:
        raise ParseError(f"expected {name} to be text of at most {max_chars} characters")
    return value


def _bytes(document: dict[str, Json], name: str) -> bytes:
    """Decode base64, standard or URL-safe as DSSE allows, with nothing around it."""
    value = document.get(name)
    if not isinstance(value, str):
        raise ParseError(f"expected {name} to be base64 text, got {type(value).__name__}")
    if "=" in value[:-2]:
        raise ParseError(f"expected {name} to be base64 text: padding in the middle")
    pieces = (value[start : start + _PIECE_CHARS] for start in range(0, len(value), _PIECE_CHARS))
    try:
        return b"".join(map(_piece, pieces))
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ParseError(f"expected {name} to be base64 text: {error}") from error


def _piece(text: str) -> bytes:
    return binascii.a2b_base64(text.encode("ascii").translate(_URL_SAFE), strict_mode=True)


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")
