"""Whom this device trusts for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Role:
    """Keys of which `threshold` must have signed.

    Attributes:
        keys: raw Ed25519 public keys (32 bytes) by key id (SHA-256 of the raw key in hex).
        threshold: from 1 to the number of keys.
    """

    keys: Mapping[str, bytes]
    threshold: int


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
