"""The port of a signing key: it signs, and never shows its private half."""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    """An Ed25519 key (RFC 8032)."""

    @property
    def public_key(self) -> bytes:
        """32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes of signature over the message."""


class Verifier(Protocol):
    """Checks Ed25519 signatures (RFC 8032)."""

    def verify(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        """Whether the signature is the key's over exactly this message; never raises."""
