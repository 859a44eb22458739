"""Signed notes and checkpoints as C2SP writes them.

c2sp.org/signed-note and c2sp.org/tlog-checkpoint, with Ed25519 keys alone.

A note is text, an empty line, and one line for each signature. A checkpoint's text is origin, tree
size and root, then lines of our own: after pruning, the hashes of the frontier.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from vedette.codec.merkle import HASH_BYTES, Frontier, check_frontier
from vedette.errors import ParseError

MAX_BYTES = 16 << 10
MAX_SIGNATURES = 16

_ED25519 = b"\x01"  # signed-note, "Signature types"
_KEY_HASH_BYTES = 4
_SIGNATURE_BYTES = 64
_NAME = re.compile(r"[^\s+]{1,256}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteSignature(NamedTuple):
    """One signature line; `key_hash` tells keys of one name apart and proves nothing."""

    name: str
    key_hash: bytes
    signature: bytes


class Note(NamedTuple):
    """A text, ending in a line feed, and its signatures; none of them is checked."""

    text: str
    signatures: tuple[NoteSignature, ...]


class Checkpoint(NamedTuple):
    """What a log says about itself: `root` is the RFC 6962 head over `size` leaves."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


def key_hash(name: str, public_key: bytes) -> bytes:
    """The 4 bytes by which a note names an Ed25519 key."""
    digest = hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key)
    return digest.digest()[:_KEY_HASH_BYTES]


def encode_note(text: str, signatures: Sequence[NoteSignature]) -> bytes:
    """Write a note; what is signed is `text.encode()`.

    Raises:
        ParseError: it is none that `decode_note` would read.
    """
    lines = [
        f"\u2014 {name} {_base64(hashed + signature)}\n" for name, hashed, signature in signatures
    ]
    data = f"{text}\n{''.join(lines)}".encode()
    if decode_note(data) != (text, tuple(signatures)):
        raise ParseError("expected a text whose last empty line is that before its signatures")
    return data


def decode_note(data: bytes) -> Note:
    """Read a note.

    Raises:
        ParseError: it is none: too long, not UTF-8, control characters, no signature.
    """
    if len(data) > MAX_BYTES:
        raise ParseError(f"expected at most {MAX_BYTES} bytes of note, got {len(data)}")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParseError("expected UTF-8", error.start) from error
    if any(char < " " and char != "\n" for char in whole):
        raise ParseError("expected no control characters but line feeds")
    text, separator, tail = whole.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise ParseError(
            "expected a text, an empty line and signatures, each ending in a line feed"
        )
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise ParseError(f"expected at most {MAX_SIGNATURES} signatures, got {len(lines)}")
    return Note(text + "\n", tuple(_signature(line) for line in lines))


def signature_of(found: Note, name: str, public_key: bytes) -> bytes | None:
    """The signature that a key would have made, still to be checked; None where there is none."""
    expected = name, key_hash(name, public_key)
    for *signed_by, signature in found.signatures:
        if tuple(signed_by) == expected:
            return signature
    return None


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """The text of a checkpoint's note."""
    lines = [checkpoint.origin, str(checkpoint.size), _base64(checkpoint.root)]
    return "".join(f"{line}\n" for line in (*lines, *checkpoint.extensions))


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text.

    Raises:
        ParseError: it has another form.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "" or not all(lines):  # noqa: PLR2004 - three and an end
        raise ParseError("expected at least origin, size and root, one on each line")
    origin, size, root, *extensions = lines
    if not _SIZE.fullmatch(size):
        raise ParseError(f"expected a tree size, got {size[:32]!a}")
    return Checkpoint(origin, int(size), _hash(root), tuple(extensions))


def frontier_checkpoint(origin: str, frontier: Frontier) -> Checkpoint:
    """A checkpoint over what was pruned, from which the rest of the log still verifies."""
    extensions = tuple(_base64(digest) for digest in frontier.hashes)
    return Checkpoint(origin, frontier.size, frontier.root(), extensions)


def parse_frontier(checkpoint: Checkpoint) -> Frontier:
    """The frontier of a checkpoint that `frontier_checkpoint` made.

    Raises:
        ParseError: its hashes do not give its root.
    """
    hashes = tuple(_hash(line) for line in checkpoint.extensions)
    frontier = check_frontier(Frontier(checkpoint.size, hashes))
    if frontier.root() != checkpoint.root:
        raise ParseError("expected hashes that give the root of the checkpoint")
    return frontier


def _signature(line: str) -> NoteSignature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "\u2014" or not _NAME.fullmatch(name):
        raise ParseError("expected a signature line: a dash, a name and base64")
    data = _unbase64(encoded)
    if len(data) != _KEY_HASH_BYTES + _SIGNATURE_BYTES:
        raise ParseError(f"expected an Ed25519 signature of 68 bytes, got {len(data)}")
    return NoteSignature(name, data[:_KEY_HASH_BYTES], data[_KEY_HASH_BYTES:])


def _hash(text: str) -> bytes:
    digest = _unbase64(text)
    if len(digest) != HASH_BYTES:
        raise ParseError(f"expected a hash of {HASH_BYTES} bytes, got {len(digest)}")
    return digest


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _unbase64(text: str) -> bytes:
    """One spelling: unused bits at the end have to be zero."""
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ParseError(f"expected base64: {error}") from error
    if _base64(data) != text:
        raise ParseError("expected base64 without stray bits at its end")
    return data
