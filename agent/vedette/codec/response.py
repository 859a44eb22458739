"""Orders and outcomes as canonical JSON: what the journal says and what the disk keeps.

    {"cause": "...", "id": "0123456789abcdef", "incident": "...", "lasts": 600, "mode": "enforce",
     "playbook": "...", "responder": "kill",
     "target": {"image": "/tmp/x", "kin": [[813, 88130]], "kind": "process", "pid": 812,
                "seen": 881.25, "start": 88123}}

Rule: what the disk keeps is read as hostile input: whole and right, or a ParseError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vedette.codec.strict_json import Json
from vedette.codec.text import escape, quoted
from vedette.errors import ParseError
from vedette.model.process import ProcessKey
from vedette.model.response import (
    DeviceTarget,
    FileTarget,
    Mode,
    ModelTarget,
    Order,
    Outcome,
    PeerTarget,
    ProcessTarget,
    Target,
    UndoRecord,
    UnitTarget,
)

MAX_TEXT = 4096
"""PATH_MAX: the longest text of an order is a path."""
MAX_FACTS = 256
_MAX_NUMBER = 2**63 - 1
_ID = re.compile(r"[0-9a-f]{16}")
_RESPONDER = re.compile(r"[a-z][a-z0-9_]{0,31}")
_ORDER = frozenset({"cause", "id", "incident", "lasts", "mode", "playbook", "responder", "target"})
_TARGETS = {
    "process": frozenset({"image", "kin", "kind", "pid", "seen", "start"}),
    "file": frozenset({"kind", "path", "sha256"}),
    "peer": frozenset({"address", "kind"}),
    "unit": frozenset({"kind", "unit"}),
    "model": frozenset({"kind", "model", "sha256"}),
    "device": frozenset({"kind"}),
}


def plain_order(order: Order) -> dict[str, Json]:
    """An order as JSON; text that is not UTF-8 keeps its bytes as escapes (`read_order`)."""
    return {
        "cause": order.cause,
        "id": order.response_id,
        "incident": order.incident_id,
        "lasts": order.lasts_s,
        "mode": str(order.mode),
        "playbook": order.playbook,
        "responder": order.responder,
        "target": plain_target(order.target),
    }


def plain_target(target: Target) -> dict[str, Json]:
    """A target as JSON."""
    match target:
        case ProcessTarget(key, image, seen_at_s, kin):
            return {
                "image": _shielded(image), "kin": [[one.pid, one.start_ticks] for one in kin],
                "kind": "process", "pid": key.pid, "seen": seen_at_s, "start": key.start_ticks,
            }  # fmt: skip
        case FileTarget(path, sha256):
            return {"kind": "file", "path": _shielded(path), "sha256": sha256}
        case PeerTarget(address):
            return {"address": address, "kind": "peer"}
        case UnitTarget(unit):
            return {"kind": "unit", "unit": unit}
        case ModelTarget(model, sha256):
            return {"kind": "model", "model": model, "sha256": sha256}
        case DeviceTarget():
            return {"kind": "device"}


def target_words(target: Target) -> str:
    """A target for people; what an attacker named is shown escaped."""
    match target:
        case ProcessTarget(key, image, _, _):
            return f"pid {key.pid} ({escape(image)})" if image else f"pid {key.pid}"
        case FileTarget(path, _):
            return escape(path)
        case PeerTarget(address):
            return escape(address)
        case UnitTarget(unit):
            return escape(unit)
        case ModelTarget(model, _):
            return f"model {escape(model)}"
        case DeviceTarget():
            return "this device"


def plain_outcome(outcome: Outcome) -> dict[str, Json]:
    """An outcome as JSON."""
    return {
        "detail": _shielded(outcome.detail),
        "facts": plain_record(outcome.facts),
        "status": str(outcome.status),
    }


def plain_record(record: UndoRecord) -> dict[str, Json]:
    """An undo record as JSON."""
    return {
        name: _shielded(value) if isinstance(value, str) else value
        for name, value in record.items()
    }


def read_order(value: Json) -> Order:
    """What `plain_order` made.

    Raises:
        ParseError: it is none.
    """
    fields = _object(value, "an order", _ORDER)
    response_id, responder = _text(fields, "id"), _text(fields, "responder")
    if not _ID.fullmatch(response_id) or not _RESPONDER.fullmatch(responder):
        raise ParseError(
            "expected an id of 16 hex digits and the name of a responder, got "
            f"{quoted(response_id)} and {quoted(responder)}"
        )
    return Order(
        response_id=response_id,
        responder=responder,
        target=read_target(fields["target"]),
        mode=_mode(_text(fields, "mode")),
        cause=_text(fields, "cause"),
        incident_id=_text(fields, "incident"),
        playbook=_text(fields, "playbook"),
        lasts_s=_seconds(fields, "lasts"),
    )


def read_target(value: Json) -> Target:
    """What `plain_target` made.

    Raises:
        ParseError: it is none.
    """
    kind = value.get("kind") if isinstance(value, dict) else None
    names = _TARGETS.get(kind) if isinstance(kind, str) else None
    if names is None:
        raise ParseError(f"expected a target of kind {', '.join(_TARGETS)}, got {quoted(kind)}")
    fields = _object(value, f"the target {kind}", names)
    match kind:
        case "process":
            key = ProcessKey(_number(fields, "pid"), _number(fields, "start"))
            seen_at_s = _seconds(fields, "seen")
            return ProcessTarget(key, _path(fields, "image"), seen_at_s, _kin(fields["kin"]))
        case "file":
            return FileTarget(_path(fields, "path"), _text(fields, "sha256"))
        case "peer":
            return PeerTarget(_text(fields, "address"))
        case "unit":
            return UnitTarget(_text(fields, "unit"))
        case "model":
            return ModelTarget(_text(fields, "model"), _text(fields, "sha256"))
        case _:
            return DeviceTarget()


def read_record(value: Json) -> dict[str, str | int]:
    """What `plain_record` made.

    Raises:
        ParseError: it is none.
    """
    if not isinstance(value, dict) or len(value) > MAX_FACTS:
        raise ParseError(f"expected an undo record of at most {MAX_FACTS} entries")
    record: dict[str, str | int] = {}
    for name, one in value.items():
        if isinstance(one, str):
            record[name] = _bared(one)
        elif type(one) is int and abs(one) <= _MAX_NUMBER:
            record[name] = one
        else:
            raise ParseError(f"{quoted(name)}: expected text or a number in an undo record")
    return record


def _shielded(text: str) -> str:
    r"""Paths are bytes: what is no UTF-8 (and the backslash) is written as \xNN."""
    if "\\" not in text and text.isascii():
        return text
    raw = text.encode("utf-8", "surrogateescape")
    return raw.replace(b"\\", b"\\x5c").decode("utf-8", "backslashreplace")


def _bared(text: str) -> str:
    """The inverse of `_shielded`."""
    if "\\" not in text:
        return text
    pieces = re.split(r"\\x([0-9a-f]{2})", text)
    if any("\\" in piece for piece in pieces[::2]):
        raise ParseError(f"expected a backslash to be written as \\x5c, got {quoted(text)}")
    raw = b"".join(
        bytes.fromhex(piece) if index % 2 else piece.encode("utf-8", "surrogateescape")
        for index, piece in enumerate(pieces)
    )
    return raw.decode("utf-8", "surrogateescape")


def _object(value: Json, what: str, names: frozenset[str]) -> Mapping[str, Json]:
    if not isinstance(value, dict) or value.keys() != names:
        raise ParseError(f"expected {what} with {', '.join(sorted(names))}, got {quoted(value)}")
    return value


def _text(fields: Mapping[str, Json], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ParseError(f"expected {name} to be text of at most {MAX_TEXT} characters")
    return value


def _path(fields: Mapping[str, Json], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or len(value) > 4 * MAX_TEXT:
        raise ParseError(f"expected {name} to be a path")
    return _bared(value)


def _number(fields: Mapping[str, Json], name: str) -> int:
    value = fields[name]
    if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
        raise ParseError(f"expected {name} to be a whole number from 0, got {quoted(value)}")
    return value


def _kin(value: Json) -> tuple[ProcessKey, ...]:
    if not isinstance(value, list) or len(value) > MAX_FACTS:
        raise ParseError(f"expected at most {MAX_FACTS} descendants, got {quoted(value)}")
    return tuple(_key(one) for one in value)


def _key(value: Json) -> ProcessKey:
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 (pid and start)
        raise ParseError(f"expected a pid and its start ticks, got {quoted(value)}")
    fields = dict(zip(("pid", "start"), value, strict=True))
    return ProcessKey(_number(fields, "pid"), _number(fields, "start"))


def _seconds(fields: Mapping[str, Json], name: str) -> float:
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise ParseError(f"expected {name} to be seconds from 0, got {quoted(value)}")
    return float(value)


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError as error:
        raise ParseError(f'expected the mode "observe" or "enforce", got {quoted(text)}') from error
