"""What travels over the uplink, and the words of MQTT that come back."""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """One signed publication.

    Attributes:
        sequence: the outbox number; 0 for what is not queued (state, birth).
        boot: the boot id under which it was recorded.
        suffix: the topic below fleet/v1/{tenant}/{device}/, such as "up/finding".
        content_type: of the body, such as "application/json".
        attributes: CloudEvents attributes in sorted order, each a (name, value) pair.
        body: as signed.
        signature: 64 bytes of Ed25519 over codec.envelope.signed_bytes.
        retain: keep it at the broker as the newest of its topic.
        expiry_s: MQTT 5.0 3.3.2.3.3 message expiry interval; 0 means never.
    """

    sequence: int
    boot: str
    suffix: str
    content_type: str
    attributes: tuple[tuple[str, str], ...]
    body: bytes
    signature: bytes
    retain: bool
    expiry_s: int


class Outcome(NamedTuple):
    """What became of a publication: an MQTT 5.0 reason code, below 0x80 means delivered."""

    sequence: int
    reason_code: int


class SessionChanged(NamedTuple):
    """The MQTT session came up or went down; `reason` is for people."""

    is_up: bool
    reason: str
    maximum_packet_bytes: int
    receive_maximum: int


class Identity(NamedTuple):
    """Whose messages these are; `boot` is the kernel's boot id (32 hex digits)."""

    tenant: str
    device: str
    boot: str
