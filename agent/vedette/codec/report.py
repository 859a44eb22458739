"""What a person needs of a Detection Finding, read back from what a device sent.

Rule 1: any bytes give a Report or a ParseError, whatever their content type says.
Rule 2: missing parts are "" or 0: a reduced finding has fewer, and is no less true for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgpack

from vedette.codec import strict_json
from vedette.codec.ocsf import CLASS_UID
from vedette.codec.strict_json import Json
from vedette.errors import ParseError
from vedette.model.finding import Severity

JSON = "application/json"
MSGPACK = "application/msgpack"
MAX_BODY_BYTES = 1 << 20
_MAX_CHAIN = 16
_MAX_MSGPACK_DEPTH = 40
_STATUS = {1: "created", 2: "updated", 3: "closed"}


class Link(NamedTuple):
    """One process of a chain."""

    pid: int
    image: str
    command_line: str


class Report(NamedTuple):
    """One report of an incident, as a device told it.

    `chain` begins with the process itself; `losses` are texts such as "process: 3 at kernel";
    `is_reduced` says that the whole stayed on the device, under the digest `whole_sha256`.
    """

    incident_id: str
    status: str
    revision: int
    severity: Severity
    title: str
    rule_id: str
    author: str
    tier: str
    times: int
    time_ms: int
    chain: tuple[Link, ...]
    fields: tuple[tuple[str, str], ...]
    actions: tuple[str, ...]
    losses: tuple[str, ...]
    is_reduced: bool
    whole_sha256: str


def encode(document: Json, content_type: str) -> bytes:
    """A document as bytes of a content type: JSON (canonical) or msgpack (names sorted).

    Raises:
        ValueError: the content type is neither.
    """
    if content_type == JSON:
        return strict_json.canonical(document)
    if content_type == MSGPACK:
        return bytes(msgpack.packb(_sorted(document)))
    raise ValueError(f"expected {JSON} or {MSGPACK}, got {content_type!a}")


def decode(body: bytes, content_type: str) -> Json:
    """Read a document.

    Raises:
        ParseError: the bytes are no document of the content type.
    """
    if content_type == JSON:
        return strict_json.parse(body, max_bytes=MAX_BODY_BYTES)
    if content_type != MSGPACK:
        raise ParseError(f"expected {JSON} or {MSGPACK}, got {content_type[:64]!a}")
    if len(body) > MAX_BODY_BYTES:
        raise ParseError(f"expected at most {MAX_BODY_BYTES} bytes, got {len(body)}")
    try:
        value = msgpack.unpackb(body, raw=False, strict_map_key=True)
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as error:
        raise ParseError(f"expected msgpack: {error}") from error
    return _checked(value, 0)


def parse_report(document: Json) -> Report:
    """Take the parts a person reads from a Detection Finding.

    Raises:
        ParseError: it is no OCSF Detection Finding.
    """
    if not isinstance(document, dict) or document.get("class_uid") != CLASS_UID:
        raise ParseError(f"expected an OCSF Detection Finding (class_uid {CLASS_UID})")
    info = _map(document, "finding_info")
    analytic = _map(info, "analytic")
    unmapped = _map(document, "unmapped")
    incident_id = _text(info, "uid")
    if not incident_id:
        raise ParseError("expected finding_info.uid, got none")
    evidence = _first_evidence(document)
    data = _map(evidence, "data")
    return Report(
        incident_id=incident_id,
        status=_STATUS.get(_number(document, "activity_id"), "reported"),
        revision=_number(unmapped, "revision"),
        severity=_severity(_number(document, "severity_id")),
        title=_text(info, "title"),
        rule_id=_text(analytic, "uid"),
        author=_text(unmapped, "rule_author"),
        tier=_text(unmapped, "tier"),
        times=_number(document, "count"),
        time_ms=_number(document, "time"),
        chain=_chain(_map(evidence, "process")),
        fields=tuple((k, v) for k, v in sorted(data.items()) if isinstance(v, str)),
        actions=tuple(a for a in _list(unmapped, "actions") if isinstance(a, str)),
        losses=tuple(_loss(item) for item in _list(unmapped, "losses") if isinstance(item, dict)),
        is_reduced=unmapped.get("is_reduced") is True,
        whole_sha256=_text(unmapped, "whole_sha256"),
    )


def _first_evidence(document: Mapping[str, Json]) -> dict[str, Json]:
    evidences = _list(document, "evidences")
    first = evidences[0] if evidences else None
    return first if isinstance(first, dict) else {}


def _chain(process: dict[str, Json]) -> tuple[Link, ...]:
    found: list[Link] = []
    while process and len(found) < _MAX_CHAIN:
        image = _text(_map(process, "file"), "path") or _text(process, "name")
        found.append(Link(_number(process, "pid"), image, _text(process, "cmd_line")))
        process = _map(process, "parent_process")
    return tuple(found)


def _loss(item: Mapping[str, Json]) -> str:
    count = _number(item, "count")
    return f"{_text(item, 'event_class')}: {count or 'some'} at {_text(item, 'stage')}"


def _severity(number: int) -> Severity:
    lowest, highest = min(Severity), max(Severity)
    return Severity(min(max(number, lowest), highest))


def _map(parent: Mapping[str, Json], name: str) -> dict[str, Json]:
    found = parent.get(name)
    return found if isinstance(found, dict) else {}


def _list(parent: Mapping[str, Json], name: str) -> list[Json]:
    found = parent.get(name)
    return found if isinstance(found, list) else []


def _text(parent: Mapping[str, Json], name: str) -> str:
    found = parent.get(name)
    return found if isinstance(found, str) else ""


def _number(parent: Mapping[str, Json], name: str) -> int:
    found = parent.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def _sorted(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_sorted(inner) for inner in value]
    return value


def _checked(value: Any, depth: int) -> Json:
    """Msgpack knows more types than JSON; what signed documents hold is JSON's."""
    if depth > _MAX_MSGPACK_DEPTH:
        raise ParseError(f"expected at most {_MAX_MSGPACK_DEPTH} levels of nesting")
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise ParseError("expected text as names of a map")
        return {name: _checked(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [_checked(inner, depth + 1) for inner in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ParseError(f"expected a JSON value, got {type(value).__name__}")
