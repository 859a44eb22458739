"""OpenSSF model signatures, version 1.0 (github.com/sigstore/model-transparency).

A Sigstore bundle holds a DSSE envelope, which holds an in-toto statement, which lists the files of
a model's directory with their digests.

Rule 1: of the bundle only the form with a bare public key is read; certificates need a network and
a clock that a device does not have.
Rule 2: the statement is read after its signature was verified, never before.
Rule 3: `ignore_paths` is read past and honoured by nobody: model_signing writes it into every
signature (".git" and the like), and a verifier that skipped what it names would run unsigned files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vedette.codec import dsse
from vedette.codec.strict_json import Json, canonical, parse
from vedette.codec.text import quoted
from vedette.errors import ParseError

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"

DIGEST_BYTES: Mapping[str, int] = {"sha256": 32, "blake2b": 64}
"""By the name that model_signing gives its hash; blake3 is not in the standard library."""

MAX_BYTES = 4 << 20
"""Ours: 4,096 files with long names take 2 MB as base64."""
MAX_RESOURCES = 1 << 14
"""Ours: shards of 1 GB, model_signing's default, of a model of 16 TB."""
MAX_NAME_BYTES = 1024
MAX_SIZE = 1 << 48
WHOLE = -1

_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_HEX = re.compile(r"[0-9a-f]+")
_SHARD = re.compile(r"(.+):(0|[1-9][0-9]{0,15}):([1-9][0-9]{0,15})", re.DOTALL)


class Bundle(NamedTuple):
    """A signature as it came; nothing of it is proven.

    Attributes:
        hint: SHA-256 of the PEM text of the public key that made it, in hex.
        payload: the statement's bytes.
        sig: ECDSA over `dsse.pae(PAYLOAD_TYPE, payload)`, in DER.
    """

    hint: str
    payload: bytes
    sig: bytes


class Resource(NamedTuple):
    """A file of the model, or a part of one.

    Attributes:
        path: relative, with `/` between its segments.
        start, end: the bytes that were hashed, `end` not included; WHOLE for all of the file.
        digest: raw.
    """

    path: str
    start: int
    end: int
    digest: bytes


class Statement(NamedTuple):
    """What was signed: these files and no others.

    Attributes:
        name: of the model's directory where it was signed, for people.
        hash_name: as hashlib has it.
        shard_size: bytes of each part but the last; 0 where files were hashed whole.
        resources: in the order that the root digest was made in.
        root: SHA-256 over all digests, in hex; it was compared.
    """

    name: str
    hash_name: str
    shard_size: int
    resources: tuple[Resource, ...]
    root: str


def decode_bundle(data: bytes) -> Bundle:
    """Read a signature file.

    Raises:
        ParseError: it is no bundle of version 0.3 with a public key and exactly one signature.
    """
    document = _object(parse(data, max_bytes=MAX_BYTES), "the signature")
    _require(document, "mediaType", BUNDLE_TYPE)
    envelope = _object(document.get("dsseEnvelope"), "dsseEnvelope")
    rows = envelope.get("signatures")
    if not isinstance(rows, list) or len(rows) != 1:
        raise ParseError("expected exactly one signature in dsseEnvelope")
    read = dsse.decode(canonical(envelope))
    if read.payload_type != PAYLOAD_TYPE:
        raise ParseError(f"expected payloadType {PAYLOAD_TYPE}, got {quoted(read.payload_type)}")
    return Bundle(_hint(document), read.payload, read.signatures[0].sig)


def decode_statement(payload: bytes) -> Statement:
    """Read a verified payload; all its digests make its root digest.

    Raises:
        ParseError: it is no statement of version 1.0, lists a file twice, names one outside the
            directory, or contradicts itself.
    """
    document = _object(parse(payload, max_bytes=MAX_BYTES), "the statement")
    _require(document, "_type", STATEMENT_TYPE)
    _require(document, "predicateType", PREDICATE_TYPE)
    predicate = _object(document.get("predicate"), "predicate")
    hash_name, shard_size = _serialization(predicate.get("serialization"))
    resources = _resources(predicate.get("resources"), hash_name, shard_size)
    name, root = _subject(document.get("subject"))
    found = hashlib.sha256(b"".join(one.digest for one in resources)).hexdigest()
    if found != root:
        raise ParseError(f"expected the files' digests to make {root}, they make {found}")
    return Statement(name, hash_name, shard_size, resources, root)


def _hint(document: Mapping[str, Json]) -> str:
    material = _object(document.get("verificationMaterial"), "verificationMaterial")
    if "publicKey" not in material:
        raise ParseError(
            "expected verificationMaterial with a publicKey, got none: sign with `model_signing "
            "sign key`; certificates cannot be checked without a network"
        )
    hint = _object(material["publicKey"], "publicKey").get("hint")
    if not isinstance(hint, str) or not _HEX_DIGEST.fullmatch(hint):
        raise ParseError("expected publicKey.hint to be a SHA-256 in hex")
    return hint


def _serialization(value: Json) -> tuple[str, int]:
    """The hash, and how large the shards are (0: whole files)."""
    given = _object(value, "serialization")
    hash_name, method = given.get("hash_type"), given.get("method")
    if not isinstance(hash_name, str) or hash_name not in DIGEST_BYTES:
        raise ParseError(
            f"expected hash_type to be one of {', '.join(DIGEST_BYTES)}, got {quoted(hash_name)}"
        )
    if method == "files":
        return hash_name, 0
    if method != "shards":
        raise ParseError(f'expected method to be "files" or "shards", got {quoted(method)}')
    size = given.get("shard_size")
    # protobuf's Struct knows only doubles, so model_signing writes 1000000.0.
    if isinstance(size, bool) or not isinstance(size, int | float):
        raise ParseError(f"expected shard_size to be a number, got {quoted(size)}")
    if not 0 < size <= MAX_SIZE or size != int(size):
        raise ParseError(f"expected shard_size to be a whole number from 1 to {MAX_SIZE}")
    return hash_name, int(size)


def _resources(value: Json, hash_name: str, shard_size: int) -> tuple[Resource, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_RESOURCES:
        raise ParseError(f"expected resources to be a list of 1 to {MAX_RESOURCES}")
    algorithm = f"{hash_name}-sharded-{shard_size}" if shard_size else hash_name
    found = tuple(_resource(row, algorithm, DIGEST_BYTES[hash_name], shard_size) for row in value)
    places = [(one.path, one.start) for one in found]
    if len(set(places)) < len(places):
        raise ParseError(f"expected each resource once, got {quoted(_twice(places)[0])} again")
    return found


def _resource(row: Json, algorithm: str, digest_bytes: int, shard_size: int) -> Resource:
    given = _object(row, "each resource")
    name, digest = given.get("name"), given.get("digest")
    if given.get("algorithm") != algorithm:
        got = quoted(given.get("algorithm"))
        raise ParseError(f"expected each resource to have the algorithm {algorithm}, got {got}")
    if not isinstance(digest, str) or len(digest) != 2 * digest_bytes or not _HEX.fullmatch(digest):
        raise ParseError(f"expected each digest to be {digest_bytes} bytes in small hex digits")
    if not isinstance(name, str):
        raise ParseError("expected each resource to have a name")
    path, start, end = _shard(name, shard_size) if shard_size else (name, 0, WHOLE)
    return Resource(_relative(path), start, end, bytes.fromhex(digest))


def _shard(name: str, shard_size: int) -> tuple[str, int, int]:
    match = _SHARD.fullmatch(name)
    if match is None:
        raise ParseError(f"expected a shard's name to be PATH:START:END, got {quoted(name)}")
    start, end = int(match[2]), int(match[3])
    if start % shard_size or not start < end <= start + shard_size:
        raise ParseError(f"expected shards of {shard_size} bytes, got {quoted(name)}")
    return match[1], start, end


def _relative(path: str) -> str:
    """A path that stays in the directory, written in one way only."""
    segments = path.split("/")
    if "\0" in path or "\\" in path or len(path.encode()) > MAX_NAME_BYTES:
        raise ParseError(f"expected a path of at most {MAX_NAME_BYTES} bytes, got {quoted(path)}")
    if any(segment in {"", ".", ".."} for segment in segments):
        raise ParseError(f"expected a path inside the model's directory, got {quoted(path)}")
    return path


def _subject(value: Json) -> tuple[str, str]:
    if not isinstance(value, list) or len(value) != 1:
        raise ParseError("expected exactly one subject")
    subject = _object(value[0], "the subject")
    digest, name = _object(subject.get("digest"), "the subject's digest"), subject.get("name")
    root = digest.get("sha256")
    if not isinstance(root, str) or not _HEX_DIGEST.fullmatch(root) or len(digest) != 1:
        raise ParseError("expected the subject to have a sha256 in hex and nothing else")
    if not isinstance(name, str) or len(name) > MAX_NAME_BYTES:
        raise ParseError(f"expected the subject's name to have at most {MAX_NAME_BYTES} characters")
    return name, root


def _twice(places: Sequence[tuple[str, int]]) -> tuple[str, int]:
    seen: set[tuple[str, int]] = set()
    return next(place for place in places if place in seen or seen.add(place))  # type: ignore[func-returns-value]


def _object(value: Json, what: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ParseError(f"expected {what} to be a JSON object, got {type(value).__name__}")
    return value


def _require(document: Mapping[str, Json], name: str, wanted: str) -> None:
    if document.get(name) != wanted:
        raise ParseError(f"expected {name} to be {wanted}, got {quoted(document.get(name))}")
