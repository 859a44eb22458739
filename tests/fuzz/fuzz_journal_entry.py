"""Fuzz target: leaves and tips of the journal."""

from __future__ import annotations

from contextlib import suppress

from vedette.codec import journal_entry
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes give an entry whose one encoding they are, or a ParseError."""
    with suppress(ParseError):
        assert journal_entry.encode(journal_entry.decode(data)) == data
    with suppress(ParseError):
        assert journal_entry.encode_tip(journal_entry.decode_tip(data)) == data
