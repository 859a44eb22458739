"""Fuzz target: the payload of the trust document."""

from __future__ import annotations

from vedette.codec import trust_document
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes give a document with thresholds that can be reached, or a ParseError."""
    try:
        document = trust_document.decode(data)
    except ParseError:
        return
    for role in (document.root, *document.purposes.values()):
        assert 1 <= role.threshold <= len(role.keys)
    assert trust_document.decode(trust_document.encode(document)) == document
