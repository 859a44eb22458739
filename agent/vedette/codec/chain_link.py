"""Links: checkpoints under keys that evolve forward, each naming the key of the next one.

Rule 1: a link is a checkpoint (codec/note.py) whose extension lines are, in this order, `baseline`
(hex, may be missing), `link` (its number), `key` (hex, its own public key) and `next` (hex, the
public key of the next link).
Rule 2: it is signed by its own key, which is erased then, and by the device's.
Rule 3: what travels is canonical JSON: the note, and the proof that the journal continues the one
of the link before (RFC 6962 2.1.2).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from vedette.codec import note, strict_json
from vedette.codec.merkle import HASH_BYTES
from vedette.codec.note import Checkpoint
from vedette.codec.strict_json import Json
from vedette.errors import ParseError

MAX_PROOF: Final = 128
"""Hashes: two for each level of a tree that no device will ever fill."""
MAX_BODY_BYTES: Final = 32 << 10

_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,14}", re.ASCII)
_WORDS: Final = ("link", "key", "next")


class Link(NamedTuple):
    """What a link says.

    Attributes:
        number: counts from 0 for as long as the device has its state.
        key: 32 bytes of Ed25519 under which it is signed.
        next_key: those of the next link.
    """

    checkpoint: Checkpoint
    number: int
    key: bytes
    next_key: bytes


def key_name(device: str, number: int) -> str:
    """How the key of a link is named in its note."""
    return f"{device}/{number}"


def extensions(baseline: str, number: int, key: bytes, next_key: bytes) -> tuple[str, ...]:
    """The extension lines of a link."""
    first = (f"baseline {baseline}",) if baseline else ()
    return (*first, f"link {number}", f"key {key.hex()}", f"next {next_key.hex()}")


def parse_link(checkpoint: Checkpoint) -> Link:
    """Read a checkpoint as a link.

    Raises:
        ParseError: its extension lines are not those of one.
    """
    lines = [line.partition(" ") for line in checkpoint.extensions]
    if lines and lines[0][0] == "baseline":
        del lines[0]
    if tuple(word for word, _, _ in lines) != _WORDS:
        raise ParseError(f"expected lines {', '.join(_WORDS)}, got {checkpoint.extensions!r:.200}")
    number, key, next_key = (value for _, _, value in lines)
    if _NUMBER.fullmatch(number) is None:
        raise ParseError(f"expected the number of a link, got {number[:32]!a}")
    return Link(checkpoint, int(number), _bytes(key), _bytes(next_key))


def encode_body(data: bytes, proof: tuple[bytes, ...]) -> bytes:
    """A signed link and its proof as they travel."""
    lines: list[Json] = [digest.hex() for digest in proof]
    return strict_json.canonical({"link": data.decode(), "proof": lines})


def is_link(document: Json) -> bool:
    """Whether a document under up/evidence is meant to be a link."""
    return isinstance(document, dict) and "link" in document


def decode_body(document: Json) -> tuple[bytes, tuple[bytes, ...]]:
    """The signed link and the proof of a document.

    Raises:
        ParseError: it is another document.
    """
    data = document.get("link") if isinstance(document, dict) else None
    lines = document.get("proof") if isinstance(document, dict) else None
    if not isinstance(data, str) or not isinstance(lines, list) or len(lines) > MAX_PROOF:
        raise ParseError(f'expected "link" as text and "proof" as at most {MAX_PROOF} hashes')
    return data.encode("utf-8", "replace"), tuple(_bytes(line) for line in lines)


def decode_note(data: bytes) -> tuple[note.Note, Link]:
    """A signed note and the link that it holds; no signature is checked.

    Raises:
        ParseError: it is none.
    """
    found = note.decode_note(data)
    return found, parse_link(note.parse_checkpoint(found.text))


def _bytes(text: Json) -> bytes:
    if not isinstance(text, str) or _HEX.fullmatch(text) is None:
        raise ParseError(f"expected {2 * HASH_BYTES} hex digits, got {str(text)[:80]!a}")
    return bytes.fromhex(text)
