"""An operator's command as bytes: parts, each after its length in four bytes (big endian).

    "vedette/v1/command", tenant, "device" or "group", its name, verb, issued (8 bytes), expires
    (8 bytes), how many arguments (4 bytes), name and value of each, sorted by name,
    how many approvals (4 bytes), of each: key id (32 bytes), number (8 bytes), signature (64 bytes)

An operator signs all parts up to the arguments, then the own key id and number: so a second one can
approve what the first one wrote, and no signature fits another command, device, key or number.

Rule 1: any bytes give a command or a ParseError; one command has one encoding.
Rule 2: the purpose is the first part: no signature of another kind of text fits.
Rule 3: nothing here says that a signature is good (trust/operator_gate.py does).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256

from vedette.codec import topics
from vedette.codec.text import quoted
from vedette.errors import ParseError
from vedette.model.command import Approval, Audience, Command

CONTENT_TYPE = "application/vnd.vedette.command"
PURPOSE = b"vedette/v1/command"
MAX_BYTES = 16 << 10
"""Ours: the longest argument is a path of 4,096 bytes."""
MAX_ARGUMENTS = 16
MAX_APPROVALS = 4
MAX_VALUE_BYTES = 4096

_LENGTH_BYTES = 4
_NUMBER_BYTES = 8
_KEY_ID_BYTES = 32
_SIGNATURE_BYTES = 64
_MAX_NUMBER = 2**53 - 1  # what every JSON reader holds exactly: receipts show it
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_KINDS = {b"device": False, b"group": True}


def encode(command: Command) -> bytes:
    """The bytes that travel.

    Raises:
        ParseError: it is none that `decode` would read.
    """
    parts = [*_body(command), len(command.approvals).to_bytes(_LENGTH_BYTES, "big")]
    for approval in command.approvals:
        parts += (*_signer(approval.key_id, approval.number), approval.signature)
    data = _joined(parts)
    decode(data)
    return data


def decode(data: bytes) -> Command:
    """Read a command; whether it was rightly signed is not looked at.

    Raises:
        ParseError: it is not exactly one command.
    """
    if len(data) > MAX_BYTES:
        raise ParseError(f"expected a command of at most {MAX_BYTES} bytes, got {len(data)}")
    parts = _Parts(data)
    if parts.take("the purpose") != PURPOSE:
        raise ParseError(f"expected a text that begins with {PURPOSE.decode()}")
    audience = _audience(parts)
    verb = _word(parts, "a verb")
    issued_s, expires_s = parts.number("the time of issue"), parts.number("the time it expires")
    if expires_s <= issued_s:
        raise ParseError(f"expected it to expire after it was issued, at {issued_s}")
    arguments = _arguments(parts)
    approvals = _approvals(parts)
    parts.end()
    return Command(audience, verb, arguments, issued_s, expires_s, approvals)


def signed_bytes(command: Command, key_id: str, number: int) -> bytes:
    """What an operator signs: the command, the own key's id and the own number.

    Args:
        command: its approvals are not looked at.
        key_id: 64 hex digits.
        number: 1 to 2**53 - 1.
    """
    return _joined([*_body(command), *_signer(key_id, number)])


def digest(data: bytes) -> str:
    """What a receipt names a command by, whatever it holds: SHA-256 in hex."""
    return sha256(data).hexdigest()


def _body(command: Command) -> list[bytes]:
    audience = command.audience
    parts = [
        PURPOSE,
        audience.tenant.encode(),
        b"group" if audience.is_group else b"device",
        audience.name.encode(),
        command.verb.encode(),
        _eight(command.issued_s),
        _eight(command.expires_s),
        len(command.arguments).to_bytes(_LENGTH_BYTES, "big"),
    ]
    for name, value in sorted(command.arguments.items()):
        parts += (name.encode(), value.encode("utf-8", "surrogateescape"))
    return parts


def _signer(key_id: str, number: int) -> tuple[bytes, bytes]:
    return bytes.fromhex(key_id), _eight(number)


def _eight(number: int) -> bytes:
    if not 1 <= number <= _MAX_NUMBER:
        raise ParseError(f"expected a number from 1 to {_MAX_NUMBER}, got {number}")
    return number.to_bytes(_NUMBER_BYTES, "big")


def _joined(parts: list[bytes]) -> bytes:
    return b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in parts)


class _Parts:
    """Takes parts off the front; nothing is copied before its length was checked."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0

    def take(self, what: str, longest: int = MAX_VALUE_BYTES) -> bytes:
        start = self.offset + _LENGTH_BYTES
        if start > len(self._data):
            raise ParseError(f"expected {what}, the command ends", self.offset)
        size = int.from_bytes(self._data[self.offset : start], "big")
        if size > longest:
            raise ParseError(f"expected {what} of at most {longest} bytes, got {size}", self.offset)
        if start + size > len(self._data):
            raise ParseError(f"expected {size} bytes of {what}, the command ends", start)
        self.offset = start + size
        return self._data[start : self.offset]

    def exactly(self, what: str, size: int) -> bytes:
        found = self.take(what, size)
        if len(found) != size:
            raise ParseError(f"expected {size} bytes of {what}, got {len(found)}", self.offset)
        return found

    def number(self, what: str) -> int:
        value = int.from_bytes(self.exactly(what, _NUMBER_BYTES), "big")
        if not 1 <= value <= _MAX_NUMBER:
            raise ParseError(f"expected {what} from 1 to {_MAX_NUMBER}, got {value}", self.offset)
        return value

    def count(self, what: str, most: int) -> int:
        value = int.from_bytes(self.exactly(what, _LENGTH_BYTES), "big")
        if value > most:
            raise ParseError(f"expected at most {most} as {what}, got {value}", self.offset)
        return value

    def end(self) -> None:
        if self.offset != len(self._data):
            raise ParseError("expected the end of the command", self.offset)


def _audience(parts: _Parts) -> Audience:
    tenant = _segment(parts, "a tenant")
    kind = _KINDS.get(parts.take("device or group", 6))
    if kind is None:
        raise ParseError("expected device or group", parts.offset)
    return Audience(tenant, kind, _segment(parts, "the name of a device or group"))


def _segment(parts: _Parts, what: str) -> str:
    found = _text(parts, what, 64)
    if not topics.is_segment(found):
        raise ParseError(f"expected {what} as topics have it, got {quoted(found)}", parts.offset)
    return found


def _word(parts: _Parts, what: str) -> str:
    found = _text(parts, what, 32)
    if _WORD.fullmatch(found) is None:
        raise ParseError(f"expected {what} of small letters, got {quoted(found)}", parts.offset)
    return found


def _text(parts: _Parts, what: str, longest: int) -> str:
    raw = parts.take(what, longest)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise ParseError(f"expected {what} in UTF-8", parts.offset) from error


def _arguments(parts: _Parts) -> Mapping[str, str]:
    found: dict[str, str] = {}
    last = ""
    for _ in range(parts.count("arguments", MAX_ARGUMENTS)):
        name = _word(parts, "the name of an argument")
        if name <= last:
            raise ParseError("expected arguments sorted by name, each once", parts.offset)
        last = name
        raw = parts.take(f"the argument {name}")
        if b"\0" in raw:
            raise ParseError(f"expected the argument {name} without NUL", parts.offset)
        found[name] = raw.decode("utf-8", "surrogateescape")  # a path may hold any bytes
    return found


def _approvals(parts: _Parts) -> tuple[Approval, ...]:
    found: list[Approval] = []
    for _ in range(parts.count("approvals", MAX_APPROVALS)):
        key_id = parts.exactly("a key id", _KEY_ID_BYTES).hex()
        if found and key_id <= found[-1].key_id:
            raise ParseError("expected approvals sorted by key id, each key once", parts.offset)
        number = parts.number("the number of an approval")
        found.append(Approval(key_id, number, parts.exactly("a signature", _SIGNATURE_BYTES)))
    if not found:
        raise ParseError("expected at least one approval, got none", parts.offset)
    return tuple(found)
