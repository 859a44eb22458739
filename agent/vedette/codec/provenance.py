"""In-toto statements (Statement v1) in DSSE envelopes: who built, wrote, reviewed and approved.

    {"_type": "https://in-toto.io/Statement/v1",
     "subject": [{"name": "cam.img", "digest": {"sha256": "<hex>"}}],
     "predicateType": "https://slsa.dev/provenance/v1",
     "predicate": {"buildDefinition": {"buildType": "...", "resolvedDependencies":
                   [{"digest": {"gitCommit": "<hex>"}}]}, "runDetails": {"builder": {"id": "..."}}}}

Of ours: `urn:vedette:review:v1` {"result": "approved" | "changes-requested", "note": ""},
`urn:vedette:authorship:v1` {"authorship": "ai-assisted", "note": ""} and `urn:vedette:approval:v1`
{"note": ""}; in-toto has vetted no predicate for these (its pull request 151 was closed).

Rule 1: names that a predicate does not define are passed over, as in-toto asks of readers; those
that are read have exactly the form their specification gives them.
Rule 2: reading proves nothing; core/provenance.py decides whose signatures count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from vedette.codec import dsse
from vedette.codec import strict_fields as strict
from vedette.codec.strict_json import Json, canonical, parse
from vedette.errors import ParseError
from vedette.model.provenance import Authorship, Statement, StatementKind

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
SLSA = "https://slsa.dev/provenance/v1"
REVIEW = "urn:vedette:review:v1"
AUTHORSHIP = "urn:vedette:authorship:v1"
APPROVAL = "urn:vedette:approval:v1"

MAX_BYTES = 256 << 10
"""Ours: a provenance of 500 dependencies has 100 KB."""
MAX_SUBJECTS = 1024
MAX_MATERIALS = 4096
MAX_NOTE = 512
_MAX_URI = 512
_MAX_DIGESTS = 16
_ALGORITHM = re.compile(r"[A-Za-z0-9_-]{1,32}")
_HEX = re.compile(r"[0-9a-f]{32,128}")


class _Result(StrEnum):
    APPROVED = "approved"
    CHANGES_REQUESTED = "changes-requested"


class SignedStatement(NamedTuple):
    """A statement with what its signatures cover."""

    statement: Statement
    message: bytes
    signatures: tuple[dsse.Signature, ...]


def decode(data: bytes) -> SignedStatement:
    """Read an envelope with a statement; no signature is checked.

    Raises:
        ParseError: it is none.
    """
    if len(data) > MAX_BYTES:
        raise ParseError(f"expected a statement of at most {MAX_BYTES} bytes, got {len(data)}")
    envelope = dsse.decode(data)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ParseError(
            f"expected a payload of type {PAYLOAD_TYPE}, got {strict.shown(envelope.payload_type)}"
        )
    message = dsse.pae(envelope.payload_type, envelope.payload)
    return SignedStatement(decode_payload(envelope.payload), message, envelope.signatures)


def decode_payload(payload: bytes) -> Statement:
    """Read a statement itself.

    Raises:
        ParseError: it is none.
    """
    value = _object(parse(payload, max_bytes=MAX_BYTES), "a statement")
    if value.get("_type") != STATEMENT:
        raise ParseError(f"expected a statement of type {STATEMENT}")
    found = strict.rows(value.get("subject"), "subjects", MAX_SUBJECTS, _digests)
    subjects = frozenset().union(*found)
    if not subjects:
        raise ParseError("expected a statement about something that has a digest")
    predicate_type = strict.visible(value.get("predicateType"), "a predicate type", _MAX_URI)
    predicate = _object(value.get("predicate", {}), "a predicate")
    match predicate_type:
        case "https://slsa.dev/provenance/v1":
            return _build(subjects, predicate)
        case "urn:vedette:review:v1":
            result = strict.word(predicate.get("result"), "a result", _Result)
            is_good = result is _Result.APPROVED
            return Statement(StatementKind.REVIEW, subjects, is_good=is_good, note=_note(predicate))
        case "urn:vedette:authorship:v1":
            word = strict.word(predicate.get("authorship"), "an authorship", Authorship)
            return Statement(
                StatementKind.AUTHORSHIP, subjects, authorship=word, note=_note(predicate)
            )
        case "urn:vedette:approval:v1":
            return Statement(StatementKind.APPROVAL, subjects, is_good=True, note=_note(predicate))
        case _:
            return Statement(StatementKind.OTHER, subjects, note=predicate_type)


def encode_payload(
    subjects: Mapping[str, str], predicate_type: str, predicate: Mapping[str, Json]
) -> bytes:
    """The payload of a statement.

    Args:
        subjects: names by digest ("sha256:<hex>").
        predicate_type: a URI.
        predicate: of that type.

    Raises:
        ParseError: it is none that `decode_payload` would read.
    """
    rows: list[Json] = []
    for digest, name in subjects.items():
        algorithm, _, value = digest.partition(":")
        rows.append({"digest": {algorithm: value}, "name": name})
    data = canonical(
        {
            "_type": STATEMENT,
            "predicate": dict(predicate),
            "predicateType": predicate_type,
            "subject": rows,
        }
    )
    decode_payload(data)
    return data


def _build(subjects: frozenset[str], predicate: Mapping[str, Any]) -> Statement:
    """SLSA provenance v1: buildDefinition and runDetails."""
    definition = _object(predicate.get("buildDefinition"), "a build definition")
    strict.visible(definition.get("buildType"), "a build type", _MAX_URI)
    details = _object(predicate.get("runDetails"), "run details")
    builder = _object(details.get("builder"), "a builder")
    name = strict.visible(builder.get("id"), "the id of a builder", _MAX_URI)
    if not name:
        raise ParseError("expected the id of a builder, got none")
    found = strict.rows(
        definition.get("resolvedDependencies") or [], "dependencies", MAX_MATERIALS, _digests
    )
    return Statement(
        StatementKind.BUILD, subjects, builder=name, materials=frozenset().union(*found)
    )


def _digests(value: object) -> frozenset[str]:
    """Of a ResourceDescriptor; of algorithms whose values are no hex we know nothing."""
    digests = _object(_object(value, "a resource").get("digest") or {}, "digests")
    if len(digests) > _MAX_DIGESTS:
        raise ParseError(f"expected at most {_MAX_DIGESTS} digests of one resource")
    found: set[str] = set()
    for algorithm, digest in digests.items():
        name = strict.matched(algorithm, "the name of an algorithm", _ALGORITHM)
        if isinstance(digest, str) and _HEX.fullmatch(digest):
            found.add(f"{name}:{digest}")
    return frozenset(found)


def _note(predicate: Mapping[str, Any]) -> str:
    return strict.visible(predicate.get("note", ""), "a note", MAX_NOTE)


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ParseError(f"expected {what} as an object, got {strict.shown(value)}")
    return value
