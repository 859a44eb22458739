"""CloudEvents 1.0 over MQTT 5.0 in binary mode: attributes as user properties, body as it is.

Rule 1: `id` is device/boot/sequence and so the same for a message sent twice; what has no sequence
(state, birth, will) carries a fourth part, the start of the body's digest.
Rule 2: attributes are kept sorted by name and hold no empty value.
Rule 3: the signature travels beside them as `vsig` (base64), and is not an attribute.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from vedette.codec.envelope import Purpose
from vedette.errors import ParseError
from vedette.model.message import Message

SPEC_VERSION = "1.0"
SIGNATURE_PROPERTY = "vsig"
SIGNATURE_BYTES = 64

_TYPE_HEAD = "vedette."
_TYPE_TAIL = ".v1"
_PURPOSES = frozenset(Purpose)
_TAG_LENGTH = 16
_MAX_ATTRIBUTES = 16
_MAX_SEQUENCE_DIGITS = 19
_MAX_SUBJECT_BYTES = 128
_LATEST_S = 253402300799.0  # 9999-12-31T23:59:59Z, the last second of RFC 3339

# MQTT 5.0 3.3: fixed header (1 + 4), packet identifier (2), property length (4 at most).
_FIXED_BYTES = 11
_USER_PROPERTY_BYTES = 5  # identifier and two lengths, MQTT 5.0 2.2.2.2
_CONTENT_TYPE_BYTES = 3
_EXPIRY_BYTES = 5
_LENGTH_BYTES = 2


class EventId(NamedTuple):
    """Who signed and when: what `id` names. `sequence` is 0 for what is not queued."""

    device: str
    boot: str
    sequence: int


class Received(NamedTuple):
    """The user properties of a publication, taken apart."""

    attributes: tuple[tuple[str, str], ...]
    event_id: EventId
    purpose: Purpose
    signature: bytes


def attributes(
    purpose: Purpose,
    tenant: str,
    device: str,
    boot: str,
    sequence: int,
    wall_s: float,
    subject: str,
    body: bytes,
) -> tuple[tuple[str, str], ...]:
    """The CloudEvents context attributes of a publication, sorted by name.

    Args:
        purpose: becomes the type.
        tenant: whose device it is.
        device: the fleet's name of it.
        boot: the kernel's boot id.
        sequence: of the outbox, or 0.
        wall_s: Unix time of what is told; out of RFC 3339's range it is moved to its edge.
        subject: such as an incident's id; left out when "".
        body: as published; tags what has no sequence.
    """
    event_id = f"{device}/{boot}/{sequence}"
    if sequence == 0:
        event_id += f"/{purpose}-{hashlib.sha256(body).hexdigest()[:_TAG_LENGTH]}"
    found = [
        ("id", event_id),
        ("source", f"urn:vedette:{tenant}:{device}"),
        ("specversion", SPEC_VERSION),
        ("time", rfc3339(wall_s)),
        ("type", f"{_TYPE_HEAD}{purpose}{_TYPE_TAIL}"),
    ]
    if subject:
        found.append(("subject", subject[:_MAX_SUBJECT_BYTES]))
    return tuple(sorted(found))


def rfc3339(wall_s: float) -> str:
    """Unix time in UTC with milliseconds, such as 2026-11-21T12:40:07.000Z."""
    moment = datetime.fromtimestamp(min(max(wall_s, 0.0), _LATEST_S), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def user_properties(message: Message) -> list[tuple[str, str]]:
    """Attributes and signature as MQTT 5.0 user properties."""
    return [*message.attributes, (SIGNATURE_PROPERTY, b64encode(message.signature).decode())]


def packet_bytes(message: Message, topic: str) -> int:
    """The most bytes that the PUBLISH packet of a message takes (MQTT 5.0 3.3), signed or not.

    Compare it with the broker's Maximum Packet Size (3.2.2.3.6) before publishing: a packet above
    it costs the connection.
    """
    total = _FIXED_BYTES + _LENGTH_BYTES + len(topic.encode()) + len(message.body)
    total += _CONTENT_TYPE_BYTES + len(message.content_type.encode())
    if message.expiry_s:
        total += _EXPIRY_BYTES
    for name, value in message.attributes:
        total += _USER_PROPERTY_BYTES + len(name.encode()) + len(value.encode())
    signature_text = (SIGNATURE_BYTES + 2) // 3 * 4
    return total + _USER_PROPERTY_BYTES + len(SIGNATURE_PROPERTY) + signature_text


def parse_properties(pairs: Iterable[tuple[str, str]]) -> Received:
    """Take the user properties of a publication apart; nothing is verified yet.

    Raises:
        ParseError: an attribute is missing, doubled or malformed, or there is no signature.
    """
    found = _unique(pairs)
    text = found.pop(SIGNATURE_PROPERTY, "")
    if not text:
        raise ParseError("expected a signature in the user property vsig, got none")
    if found.get("specversion") != SPEC_VERSION:
        raise ParseError(f"expected CloudEvents 1.0, got {found.get('specversion', '')[:32]!a}")
    return Received(
        tuple(sorted(found.items())),
        parse_id(found.get("id", "")),
        _purpose(found.get("type", "")),
        _signature(text),
    )


def parse_id(text: str) -> EventId:
    """Read `device/boot/sequence` (and the tag that follows sequence 0).

    Raises:
        ParseError: it has another form.
    """
    parts = text.split("/")
    if len(parts) not in (3, 4) or not all(parts):
        raise ParseError(f"expected an id device/boot/sequence, got {text[:128]!a}")
    device, boot, digits = parts[:3]
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= _MAX_SEQUENCE_DIGITS
    if not is_number or (digits != "0" and digits.startswith("0")):
        raise ParseError(f"expected a sequence, got {digits[:32]!a}", len(device) + len(boot) + 2)
    if (digits == "0") != (len(parts) == 4):  # noqa: PLR2004 (rule 1: the tag is the fourth part)
        raise ParseError(f"expected a tag after sequence 0 and only there, got {text[:128]!a}")
    return EventId(device, boot, int(digits))


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise ParseError(f"expected each attribute once, got {name[:64]!a} again")
        found[name] = value
        if len(found) > _MAX_ATTRIBUTES:
            raise ParseError(f"expected at most {_MAX_ATTRIBUTES} attributes")
    return found


def _purpose(text: str) -> Purpose:
    word = text.removeprefix(_TYPE_HEAD).removesuffix(_TYPE_TAIL)
    if text == f"{_TYPE_HEAD}{word}{_TYPE_TAIL}" and word in _PURPOSES:
        return Purpose(word)
    raise ParseError(f"expected a type vedette.PURPOSE.v1, got {text[:64]!a}")


def _signature(text: str) -> bytes:
    try:
        signature = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ParseError("expected a signature in base64") from error
    if len(signature) != SIGNATURE_BYTES:
        raise ParseError(f"expected a signature of 64 bytes, got {len(signature)}")
    return signature
