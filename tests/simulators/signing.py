"""An operator with keys: makes signed documents and bundles for tests."""

from __future__ import annotations

from collections.abc import Sequence

from vedette.codec import dsse, trust_document
from vedette.model.trust import Role, TrustDocument
from vedette.trust.ed25519 import Ed25519Signer
from vedette.trust.keyfile import key_id

BUILD_S = 1_780_000_000
ISSUED_S = 1_790_000_000
EXPIRES_S = 1_900_000_000


def signer(number: int) -> Ed25519Signer:
    """A key that is the same in every run."""
    return Ed25519Signer(number.to_bytes(32, "big"))


def envelope(payload_type: str, payload: bytes, signers: Sequence[Ed25519Signer]) -> bytes:
    """What the operator's tools write."""
    message = dsse.pae(payload_type, payload)
    return dsse.encode(
        payload_type, payload, [(key_id(key.public_key), key.sign(message)) for key in signers]
    )


def role(*signers: Ed25519Signer, threshold: int = 1) -> Role:
    return Role({key_id(key.public_key): key.public_key for key in signers}, threshold)


def document(
    root: Role, *, version: int = 1, rules: Role | None = None, firmware: Role | None = None
) -> TrustDocument:
    purposes = {"rules": rules, "firmware": firmware}
    return TrustDocument(
        version=version,
        issued_s=ISSUED_S,
        expires_s=EXPIRES_S,
        root=root,
        purposes={name: found for name, found in purposes.items() if found is not None},
    )


def signed_document(value: TrustDocument, *signers: Ed25519Signer) -> bytes:
    return envelope(trust_document.PAYLOAD_TYPE, trust_document.encode(value), signers)
