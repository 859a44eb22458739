"""Which trust document is in force, and how the next one follows.

Rule 1: the first document is embedded in the package and must be signed by its own root.
Rule 2: a successor has the next version and is signed by the threshold of both roots, the old
and its own (TUF 5.3.4, 5.3.5).
Rule 3: the version in force never drops; a date never ends it.
"""

from __future__ import annotations

import hashlib

from vedette.codec import trust_document as codec
from vedette.errors import ParseError, TrustError
from vedette.model.trust import Role, TrustDocument
from vedette.ports.signer import Verifier
from vedette.ports.state import Shelf, State
from vedette.trust import signed

SHELF_NAME = "trust.json"
VERSION = "trust.version"
DIGEST = "trust.digest"

_WHAT = "trust document"


NOBODY = TrustDocument(0, 0, 0, Role({}, 1), {})
"""In force on a device that nobody has enrolled yet: no key may sign anything."""


def verify_initial(data: bytes, verifier: Verifier) -> TrustDocument:
    """Read a document that is trusted because of where it lies: it must be signed by its own root.

    Raises:
        TrustError: it is damaged, or its own root has not signed it.
    """
    envelope = signed.open_envelope(data, codec.PAYLOAD_TYPE, _WHAT)
    document = _payload(envelope.payload)
    signed.require(envelope, document.root, verifier, _WHAT)
    return document


def verify_successor(current: TrustDocument, data: bytes, verifier: Verifier) -> TrustDocument:
    """Read a document that is trusted because the current root says so.

    Raises:
        TrustError: it is not the next version, or one of the two roots has not signed it.
    """
    envelope = signed.open_envelope(data, codec.PAYLOAD_TYPE, _WHAT)
    signed.require(envelope, current.root, verifier, f"{_WHAT}, by the root in force")
    document = _payload(envelope.payload)
    signed.require(envelope, document.root, verifier, f"{_WHAT}, by its own root")
    if document.version != current.version + 1:
        raise TrustError(
            f"{_WHAT}: expected version {current.version + 1}, got {document.version}: apply the "
            "versions one after the other"
        )
    return document


class TrustAnchor:
    """The document in force on this device.

    Args:
        embedded: the envelope that the package brought.
        state: keeps version and digest of the document in force.
        shelf: keeps a document that followed the embedded one.
        verifier: the Ed25519 implementation.

    Attributes:
        document: what is in force.
        problems: what was wrong and how it was mended, one line each.

    Raises:
        TrustError: neither document can be trusted, or both are older than what was in force.
        StoreError: the disk did not give or take what was asked.
    """

    def __init__(self, embedded: bytes, *, state: State, shelf: Shelf, verifier: Verifier) -> None:
        self._state, self._shelf, self._verifier = state, shelf, verifier
        self.problems: list[str] = []
        self.document = self._choose(embedded)

    def rotate(self, data: bytes, *, now_s: float) -> TrustDocument:
        """Put the next document in force, durably.

        Args:
            data: the new envelope.
            now_s: Unix time as trust/content_gate.py reckons it, never earlier than the build.

        Raises:
            TrustError: it does not follow, or expired before it was ever seen.
            StoreError: the disk did not take it; the old one stays in force.
        """
        document = verify_successor(self.document, data, self._verifier)
        if document.expires_s <= now_s:
            raise TrustError(
                f"{_WHAT}: version {document.version} expired at {document.expires_s}, it is "
                f"{now_s:.0f} now: have the root sign a newer one"
            )
        self._shelf.save(SHELF_NAME, data)
        self._record(document, data)
        self.document = document
        return document

    def _choose(self, embedded: bytes) -> TrustDocument:
        """Take the newest of the embedded and the kept document, not below the floor."""
        candidates = [(verify_initial(embedded, self._verifier), embedded)]
        kept = self._shelf.load(SHELF_NAME)
        if kept is not None:
            try:
                candidates.append((self._verify_kept(candidates[0][0], kept), kept))
            except TrustError as error:
                self.problems.append(f"{error}; the document of the package is used")
        document, data = max(candidates, key=lambda candidate: candidate[0].version)
        floor = self._state.number(VERSION)
        if document.version < floor:
            raise TrustError(
                f"{_WHAT}: expected version {floor} or later, got {document.version}: an older "
                "package was installed, or the newer document was lost; install the newer package"
            )
        self._record(document, data)
        return document

    def _verify_kept(self, embedded: TrustDocument, data: bytes) -> TrustDocument:
        """It was verified when it came; its digest says that it is still the same.

        After a power cut between the two writes of `rotate`, the digest is still the old one: then
        it has to follow the embedded document anew.
        """
        if hashlib.sha256(data).hexdigest() == self._state.text(DIGEST):
            return verify_initial(data, self._verifier)
        return verify_successor(embedded, data, self._verifier)

    def _record(self, document: TrustDocument, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        self._state.update({VERSION: document.version, DIGEST: digest})


def _payload(payload: bytes) -> TrustDocument:
    try:
        return codec.decode(payload)
    except ParseError as error:
        raise TrustError(f"{_WHAT}: {error}") from error
