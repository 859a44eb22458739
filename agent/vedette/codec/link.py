"""Frames between sentinel and uplink: msgpack, one frame a SOCK_SEQPACKET datagram.

Rule 1: any bytes give a frame or a ParseError; the sentinel trusts nothing that comes back.
Rule 2: a frame names the MQTT session it belongs to, so that what crosses a reconnect on the way is
dropped and not published twice.
Rule 3: events that come back are hints: their time and tier are set by the sentinel.
Rule 4: what is handed down is bytes that the uplink did not look at; the sentinel verifies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import msgpack

from vedette.errors import ParseError
from vedette.model.event import NameQueried, NameResolved
from vedette.model.message import Message, Outcome, SessionChanged

MAX_FRAME_BYTES = 65536
"""A datagram is one piece of kernel memory: 64 KiB passes under any device's wmem_max."""

MAX_HINTS = 256
"""DNS hints in one frame."""
MAX_DOWN_BYTES = 16 << 10
"""Of one thing handed down: codec.command.MAX_BYTES."""
MAX_GROUPS = 16

_MAX_TEXT = 4096
_MAX_ATTRIBUTES = 16
_MAX_NUMBER = 2**63 - 1
_MAX_REASON = 255
_MAX_NAME = 1024
_MAX_U16 = 65535
_MAX_U32 = 2**32 - 1


class Open(NamedTuple):
    """Sentinel: begin; `birth` is published at each connect, `will` is left with the broker.

    What the broker has for the device, and for its groups, is handed down.
    """

    tenant: str
    device: str
    birth: Message
    will: Message
    groups: tuple[str, ...] = ()


class Publish(NamedTuple):
    """Sentinel: publish this while that MQTT session lasts, and tell what became of it."""

    session: int
    message: Message


class Leave(NamedTuple):
    """Sentinel: disconnect in good order, without the will."""


class Session(NamedTuple):
    """Uplink: MQTT session number `session` came up or went down."""

    session: int
    change: SessionChanged


class Result(NamedTuple):
    """Uplink: what became of a publication of that session."""

    session: int
    outcome: Outcome


class Hints(NamedTuple):
    """Uplink: what was seen in DNS packets; `lost` packets could not be kept or read."""

    queried: tuple[tuple[str, int], ...]
    resolved: tuple[tuple[str, str, int], ...]
    lost: int


class Down(NamedTuple):
    """Uplink: what somebody published for this device; `lost` more were too many or too large."""

    data: bytes
    lost: int


class Hearing(NamedTuple):
    """Uplink: whether the broker lets us hear what is for us; `refusal` says why not, or ""."""

    refusal: str


class Alive(NamedTuple):
    """Sentinel: answer this. Uplink: the answer."""


Frame: TypeAlias = Open | Publish | Leave | Session | Result | Hints | Down | Hearing | Alive

_OPEN, _PUBLISH, _LEAVE, _SESSION, _RESULT, _HINTS, _DOWN, _HEARING, _ALIVE = range(9)


def encode(frame: Frame) -> bytes:
    """The bytes of a frame.

    Raises:
        ValueError: it would be larger than MAX_FRAME_BYTES.
    """
    data = bytes(msgpack.packb(_packed(frame)))
    if len(data) > MAX_FRAME_BYTES:
        raise ValueError(f"expected a frame of at most {MAX_FRAME_BYTES} bytes, got {len(data)}")
    return data


def decode(data: bytes | bytearray | memoryview) -> Frame:
    """Read one frame.

    Raises:
        ParseError: the bytes are not exactly one frame.
    """
    if len(data) > MAX_FRAME_BYTES:
        raise ParseError(f"expected at most {MAX_FRAME_BYTES} bytes, got {len(data)}")
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=True, use_list=True)
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as error:
        raise ParseError(f"expected a msgpack frame: {error}") from error
    if not isinstance(value, list) or not value:
        raise ParseError("expected a frame as a list that begins with its kind")
    return _frame(value[0], value[1:])


def hints(events: Sequence[NameQueried | NameResolved], lost: int) -> Hints:
    """Events as hints, without their times; the caller keeps to MAX_HINTS."""
    return Hints(
        tuple((e.name, e.query_type) for e in events if isinstance(e, NameQueried)),
        tuple((e.name, e.address, e.ttl_s) for e in events if isinstance(e, NameResolved)),
        lost,
    )


def _packed(frame: Frame) -> list[Any]:
    match frame:
        case Open(tenant, device, birth, will, groups):
            return [_OPEN, tenant, device, list(birth), list(will), groups]
        case Publish(session, message):
            return [_PUBLISH, session, list(message)]
        case Leave():
            return [_LEAVE]
        case Session(session, change):
            return [_SESSION, session, list(change)]
        case Result(session, outcome):
            return [_RESULT, session, list(outcome)]
        case Hints(queried, resolved, lost):
            return [_HINTS, queried, resolved, lost]
        case Down(data, lost):
            return [_DOWN, data, lost]
        case Hearing(refusal):
            return [_HEARING, refusal]
        case Alive():
            return [_ALIVE]


def _frame(kind: Any, rest: list[Any]) -> Frame:
    match kind, rest:
        case 0, [tenant, device, birth, will, list(groups)]:
            return Open(
                _text(tenant), _text(device), _message(birth), _message(will), _groups(groups)
            )
        case 1, [session, message]:
            return Publish(_number(session), _message(message))
        case 2, []:
            return Leave()
        case 3, [session, [is_up, reason, largest, window]]:
            change = SessionChanged(
                _flag(is_up), _text(reason), _number(largest, _MAX_U32), _number(window, _MAX_U16)
            )
            return Session(_number(session), change)
        case 4, [session, [sequence, reason_code]]:
            outcome = Outcome(_number(sequence), _number(reason_code, _MAX_REASON))
            return Result(_number(session), outcome)
        case 5, [list(queried), list(resolved), lost]:
            return _hints(queried, resolved, _number(lost))
        case 6, [data, lost]:
            return Down(_bytes(data, MAX_DOWN_BYTES), _number(lost))
        case 7, [refusal]:
            return Hearing(_text(refusal))
        case 8, []:
            return Alive()
    raise ParseError(f"expected a frame of a known kind, got kind {str(kind)[:32]!a}")


def _message(value: Any) -> Message:
    match value:
        case [sequence, boot, suffix, content_type, list(pairs), body, signature, retain, expiry]:
            return Message(
                _number(sequence),
                _text(boot),
                _text(suffix),
                _text(content_type),
                _attributes(pairs),
                _bytes(body),
                _bytes(signature),
                _flag(retain),
                _number(expiry, _MAX_U32),
            )
    raise ParseError("expected a message of nine fields")


def _attributes(pairs: list[Any]) -> tuple[tuple[str, str], ...]:
    if len(pairs) > _MAX_ATTRIBUTES:
        raise ParseError(f"expected at most {_MAX_ATTRIBUTES} attributes, got {len(pairs)}")
    found: list[tuple[str, str]] = []
    for pair in pairs:
        match pair:
            case [name, value]:
                found.append((_text(name), _text(value)))
            case _:
                raise ParseError("expected an attribute as a pair of texts")
    return tuple(found)


def _hints(queried: list[Any], resolved: list[Any], lost: int) -> Hints:
    if len(queried) + len(resolved) > MAX_HINTS:
        raise ParseError(f"expected at most {MAX_HINTS} hints in a frame")
    asked: list[tuple[str, int]] = []
    for item in queried:
        match item:
            case [name, query_type]:
                asked.append((_text(name, _MAX_NAME), _number(query_type, _MAX_U16)))
            case _:
                raise ParseError("expected a query as name and type")
    answered: list[tuple[str, str, int]] = []
    for item in resolved:
        match item:
            case [name, address, ttl_s]:
                address = _text(address, 64)
                answered.append((_text(name, _MAX_NAME), address, _number(ttl_s, _MAX_U32)))
            case _:
                raise ParseError("expected an answer as name, address and time to live")
    return Hints(tuple(asked), tuple(answered), lost)


def _groups(items: list[Any]) -> tuple[str, ...]:
    if len(items) > MAX_GROUPS:
        raise ParseError(f"expected at most {MAX_GROUPS} groups, got {len(items)}")
    return tuple(_text(item) for item in items)


def _text(value: Any, longest: int = _MAX_TEXT) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise ParseError(f"expected text of at most {longest} characters, got {_kind(value)}")
    return value


def _bytes(value: Any, most: int = MAX_FRAME_BYTES) -> bytes:
    if not isinstance(value, bytes) or len(value) > most:
        raise ParseError(f"expected at most {most} bytes, got {_kind(value)}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ParseError(f"expected true or false, got {_kind(value)}")
    return value


def _number(value: Any, highest: int = _MAX_NUMBER) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= highest:
        raise ParseError(f"expected a number from 0 to {highest}, got {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"a longer {name}" if isinstance(value, str | bytes) else name
