"""Fuzz target: DSSE envelopes."""

from __future__ import annotations

from vedette.codec import dsse
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes give an envelope that is read back from its own encoding, or a ParseError."""
    try:
        envelope = dsse.decode(data)
    except ParseError:
        return
    again = dsse.decode(dsse.encode(*envelope))
    assert again == envelope
