"""The record of a firmware as it is kept: canonical JSON; the release as its TUF target has it.

Rule: it was written by us and lies in a folder of ours, and is read like any input all the same:
what is unknown, missing or of another type is a ParseError.
"""

from __future__ import annotations

import re

from vedette.codec import release as release_codec
from vedette.codec import strict_json
from vedette.codec.strict_json import Json
from vedette.codec.text import quoted
from vedette.errors import ParseError
from vedette.model.firmware import FirmwareRecord, FirmwareState, Running
from vedette.model.release import MAX_NUMBER, Release
from vedette.model.update import Cause

MAX_BYTES = 32 << 10
FORMAT = 1
_TEXTS = ("slot", "before_slot", "boot_id", "failed_sha256", "cause", "reason")
_NUMBERS = ("marked_bytes", "window_left_s", "counted_s")
_KEYS = {"format", "state", "is_done", "release", "before", "running", *_TEXTS, *_NUMBERS}
_SHA256 = re.compile(r"([0-9a-f]{64})?")
_MAX_TEXT = 1000


def encode(record: FirmwareRecord) -> str:
    """Write it."""
    release = record.release
    document: dict[str, Json] = {
        "format": FORMAT,
        "state": str(record.state),
        "is_done": record.is_done,
        "release": None if release is None else _release_document(release),
        "before": list(record.before),
        "running": list(record.running),
    }
    for name in (*_TEXTS, *_NUMBERS):
        value = getattr(record, name)
        document[name] = str(value) if name in _TEXTS else value
    return strict_json.canonical(document).decode()


def decode(text: str) -> FirmwareRecord:
    """Read it.

    Raises:
        ParseError: it is no such record.
    """
    document = strict_json.parse(text.encode("utf-8", "replace"), max_bytes=MAX_BYTES)
    if not isinstance(document, dict) or document.keys() != _KEYS:
        raise ParseError(f"expected an object of {', '.join(sorted(_KEYS))}")
    if document["format"] != FORMAT:
        raise ParseError(f"expected format {FORMAT}, got {quoted(document['format'])}")
    state, is_done = document["state"], document["is_done"]
    if state not in set(FirmwareState) or not isinstance(is_done, bool):
        raise ParseError(f"expected a known state and is_done, got {quoted(state)}")
    texts = {name: _text(document[name], name) for name in _TEXTS}
    numbers = {name: _number(document[name], name) for name in _NUMBERS}
    if not _SHA256.fullmatch(texts["failed_sha256"]):
        raise ParseError(f"expected a digest, got {quoted(texts['failed_sha256'])}")
    if texts["cause"] not in set(Cause):
        raise ParseError(f"expected a known cause, got {quoted(texts['cause'])}")
    release = document["release"]
    if release is None and state != FirmwareState.IDLE:
        raise ParseError(f"expected a release of a firmware that is {state}")
    return FirmwareRecord(
        state=FirmwareState(str(state)), is_done=is_done,
        release=None if release is None else _release(release),
        slot=texts["slot"], before_slot=texts["before_slot"],
        before=_running(document["before"]), running=_running(document["running"]),
        boot_id=texts["boot_id"], marked_bytes=numbers["marked_bytes"],
        window_left_s=numbers["window_left_s"], failed_sha256=texts["failed_sha256"],
        cause=Cause(texts["cause"]), reason=texts["reason"], counted_s=numbers["counted_s"],
    )  # fmt: skip


def _release_document(release: Release) -> Json:
    target = release.target
    return [target.path, target.length, target.sha256, release_codec.encode(release)]


def _release(found: Json) -> Release:
    match found:
        case [str(path), int(length), str(sha256), dict(custom)]:
            return release_codec.decode(path, length, sha256, custom)
        case _:
            raise ParseError("expected a release as path, length, digest and custom field")


def _running(found: Json) -> Running:
    match found:
        case [str(name), str(version), int(counter)] if 0 <= counter <= MAX_NUMBER:
            return Running(name, version, counter)
        case _:
            raise ParseError(f"expected name, version and counter, got {quoted(found)}")


def _text(value: Json, name: str) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ParseError(f"expected {name} to be a text, got {quoted(value)}")
    return value


def _number(value: Json, name: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise ParseError(f"expected {name} to be a number, got {quoted(value)}")
    return value
