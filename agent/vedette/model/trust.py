"""Whom this device trusts for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

EVERY_GROUP = "*"


class Grant(NamedTuple):
    """What one operator's key may command, and whom.

    Attributes:
        verbs: such as "isolate" (model.command.Verb); those of a later edition are kept.
        groups: whose devices it may command, one at a time or all at once; EVERY_GROUP stands for
            all devices, those of no group included.
    """

    verbs: frozenset[str]
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Role:
    """Keys of which `threshold` must have signed.

    Attributes:
        keys: raw Ed25519 public keys (32 bytes) by key id (SHA-256 of the raw key in hex).
        threshold: from 1 to the number of keys.
        grants: of the purpose "operators" alone, by key id; a key without one may command nothing.
    """

    keys: Mapping[str, bytes]
    threshold: int
    grants: Mapping[str, Grant] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrustDocument:
    """Keys by purpose, signed by the root.

    Attributes:
        version: grows by one with each document.
        issued_s: Unix time of signing.
        expires_s: Unix time after which it may not be newly accepted; what is in force stays so.
        root: who signs this document and its successor.
        purposes: "rules", "playbooks", "firmware", "models", "advisories", "operators"; those of
            a later edition are kept and asked for by nobody.
    """

    version: int
    issued_s: int
    expires_s: int
    root: Role
    purposes: Mapping[str, Role]
