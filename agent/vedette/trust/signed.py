"""Reads signed content: opens an envelope, counts whose signatures hold, says why not.

Every refusal is a TrustError that tells unsigned, altered, foreign key and wrong purpose apart,
since each asks for another remedy.
"""

from __future__ import annotations

from collections.abc import Iterable

from vedette.codec import dsse
from vedette.errors import ParseError, TrustError
from vedette.model.trust import Role, TrustDocument
from vedette.ports.signer import Verifier


def open_envelope(data: bytes, payload_type: str, what: str) -> dsse.Envelope:
    """Read an envelope whose payload has the expected type; no signature is checked.

    Raises:
        TrustError: it is no envelope, carries no signature, or holds something else.
    """
    try:
        envelope = dsse.decode(data)
    except ParseError as error:
        raise TrustError(
            f"{what}: expected a whole signed DSSE envelope: {error}; it is unsigned, truncated "
            "or damaged: fetch or sign it again"
        ) from error
    if envelope.payload_type != payload_type:
        raise TrustError(
            f"{what}: expected a payload of type {payload_type}, got "
            f"{envelope.payload_type[:80]!a}: this file is for another purpose"
        )
    return envelope


def signers(envelope: dsse.Envelope, role: Role, verifier: Verifier) -> frozenset[str]:
    """Ids of the role's keys whose signature over the payload holds, each key once."""
    message = dsse.pae(envelope.payload_type, envelope.payload)
    return frozenset(
        keyid
        for keyid, signature in envelope.signatures
        if keyid in role.keys and verifier.verify(role.keys[keyid], signature, message)
    )


def require(
    envelope: dsse.Envelope,
    role: Role,
    verifier: Verifier,
    what: str,
    document: TrustDocument | None = None,
) -> None:
    """Let pass only what enough keys of a role signed.

    Args:
        envelope: what to check.
        role: who has to have signed.
        verifier: the Ed25519 implementation.
        what: names the content in the error.
        document: where to look for the purpose that a foreign key does have, for the error.

    Raises:
        TrustError: too few signatures hold; the message says which kind of failure it is.
    """
    good = signers(envelope, role, verifier)
    if len(good) >= role.threshold:
        return
    claimed = {keyid for keyid, _ in envelope.signatures if keyid in role.keys}
    if claimed - good:
        raise TrustError(
            f"{what}: the signature of key {_short(claimed - good)} does not match its content: "
            "it was altered or damaged after signing; fetch it again"
        )
    if good:
        raise TrustError(
            f"{what}: expected signatures of {role.threshold} of the keys {_short(role.keys)}, "
            f"got {len(good)} ({_short(good)}): have it signed by the others"
        )
    raise TrustError(_foreign(envelope, role, what, document))


def _foreign(envelope: dsse.Envelope, role: Role, what: str, document: TrustDocument | None) -> str:
    given = {keyid for keyid, _ in envelope.signatures}
    line = f"{what}: expected a signature of {_short(role.keys)}, got {_short(given)}"
    others = sorted(
        name
        for name, other in (document.purposes.items() if document else ())
        if given & other.keys.keys()
    )
    if others:
        return f"{line}, a key for {', '.join(others)}: sign it with a key for its purpose"
    return f"{line}, a foreign key: sign it with a trusted key, or rotate the trust document"


def _short(keyids: Iterable[str]) -> str:
    names = [ascii(keyid[:16])[1:-1] or "(no key id)" for keyid in sorted(keyids)]
    return ", ".join(names[:8])
