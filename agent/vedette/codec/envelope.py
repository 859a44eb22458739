"""What a device's signature covers: every part of a publication, each with its length.

Rule 1: no two different publications give the same bytes, whatever their parts hold.
Rule 2: a purpose is part of what is signed, so that a heartbeat can never pass for an incident.
Rule 3: which purpose a topic carries is fixed here; a reader takes it from the topic and the
CloudEvents type together and refuses every other pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

DOMAIN = "vedette/v1/"
"""First part of every signed text: signatures of other formats by the same key never fit."""

_LENGTH_BYTES = 4
_MAX_SEQUENCE = 2**63 - 1


class Purpose(StrEnum):
    """What a signature says; never one for two."""

    INCIDENT = "incident"
    STATE = "state"
    RECEIPT = "receipt"
    """What became of an operator's command."""
    COLLECTED = "collected"
    UPDATE = "update"
    CHECKPOINT = "checkpoint"
    POSTURE = "posture"
    BIRTH = "birth"
    WILL = "will"


_BY_SUFFIX = {
    "up/finding": (Purpose.INCIDENT,),
    "up/model": (Purpose.INCIDENT,),
    "up/update": (Purpose.UPDATE,),
    "up/receipt": (Purpose.RECEIPT,),
    "up/collected": (Purpose.COLLECTED,),
    "up/evidence": (Purpose.CHECKPOINT,),
    "up/posture": (Purpose.POSTURE,),
    "state": (Purpose.STATE, Purpose.WILL),
    "birth": (Purpose.BIRTH,),
}


def purposes_of(suffix: str) -> tuple[Purpose, ...]:
    """The purposes that may travel under a topic suffix, the usual one first; () if unknown."""
    return _BY_SUFFIX.get(suffix, ())


def signed_bytes(
    purpose: Purpose,
    tenant: str,
    device: str,
    boot: str,
    sequence: int,
    suffix: str,
    content_type: str,
    attributes: Sequence[tuple[str, str]],
    body: bytes,
) -> bytes:
    """The message that an Ed25519 signature of a publication is made over (DESIGN section 7).

    Args:
        purpose: what the signature says.
        tenant: whose device it is.
        device: the fleet's name of it.
        boot: the kernel's boot id, 32 hex digits.
        sequence: 0 to 2**63 - 1, written as eight bytes, big-endian.
        suffix: the topic below the device, such as "up/finding".
        content_type: of the body.
        attributes: CloudEvents attributes; their order does not matter.
        body: as published.

    Returns:
        Each part after its length in four bytes, big-endian; the attributes after their number.

    Raises:
        ValueError: the sequence is out of range or a text holds half a surrogate pair.
    """
    if not 0 <= sequence <= _MAX_SEQUENCE:
        raise ValueError(f"expected a sequence from 0 to {_MAX_SEQUENCE}, got {sequence}")
    parts = [
        f"{DOMAIN}{purpose}".encode(),
        tenant.encode(),
        device.encode(),
        boot.encode(),
        sequence.to_bytes(8, "big"),
        suffix.encode(),
        content_type.encode(),
        len(attributes).to_bytes(_LENGTH_BYTES, "big"),
    ]
    for name, value in sorted(attributes):
        parts += (name.encode(), value.encode())
    parts.append(body)
    return b"".join(len(part).to_bytes(_LENGTH_BYTES, "big") + part for part in parts)
