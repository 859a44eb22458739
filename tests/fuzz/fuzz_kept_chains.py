"""Fuzz target: the file in which a watch keeps where it stands in the chains."""

from __future__ import annotations

from vedette.codec import kept_chains
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes give chains that are read back as they were, or a ParseError."""
    try:
        links = kept_chains.parse(data)
    except ParseError:
        return
    assert kept_chains.parse(kept_chains.encode(links)) == links
