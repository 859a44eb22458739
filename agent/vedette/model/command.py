"""An operator's command: what it says, who signed it, and the receipt that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Verb(StrEnum):
    """What an operator may want of a device."""

    ISOLATE = "isolate"
    RELEASE = "release"
    BLOCK = "block"
    UNBLOCK = "unblock"
    KILL = "kill"
    QUARANTINE = "quarantine"
    RESTORE = "restore"
    UNDO = "undo"
    PROMOTE = "promote"
    DEMOTE = "demote"
    ACKNOWLEDGE = "acknowledge"
    COLLECT = "collect"
    UPDATE = "update"
    ROLLBACK = "rollback"


class Audience(NamedTuple):
    """Whom a command is for: one device, or all devices of a group of one tenant."""

    tenant: str
    is_group: bool
    name: str

    def __str__(self) -> str:
        return f"{'group' if self.is_group else 'device'} {self.tenant}/{self.name}"


class Approval(NamedTuple):
    """One operator's signature under a command.

    Attributes:
        key_id: SHA-256 of the operator's raw public key in hex.
        number: grows with each command of this key; covered by the signature.
        signature: 64 bytes of Ed25519 over codec.command.signed_bytes.
    """

    key_id: str
    number: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it travels.

    Attributes:
        verb: of `Verb`, or of a later edition, which a device refuses.
        arguments: by name; which ones a verb takes is in core/orders.py.
        issued_s: Unix time of signing.
        expires_s: Unix time from which no device carries it out.
        approvals: at least one; each of another key, sorted by key id.
    """

    audience: Audience
    verb: str
    arguments: Mapping[str, str]
    issued_s: int
    expires_s: int
    approvals: tuple[Approval, ...]

    @property
    def origin(self) -> str:
        """Who ordered it, as responses name their cause."""
        first = self.approvals[0]
        return f"operator:{first.key_id[:16]}:{first.number}"


class ReceiptStatus(StrEnum):
    """How a command ended; each one is answered."""

    REFUSED = "refused"
    """It may not be carried out here: nothing was done."""
    DONE = "done"
    PARTLY = "partly"
    FAILED = "failed"
    """It was allowed and tried; the detail says why nothing came of it."""


class Receipt(NamedTuple):
    """What a device answers; it is signed as every publication of a device.

    Attributes:
        command: SHA-256 in hex of the command as it came, signatures included.
        origin: `Command.origin`, or "" for what could not be read.
        verb: as the command had it, or "".
        detail: for people: what was done, or why it was not.
        facts: for programs, such as {"response": "0123456789abcdef"}.
    """

    command: str
    origin: str
    verb: str
    status: ReceiptStatus
    detail: str
    facts: Mapping[str, str]
