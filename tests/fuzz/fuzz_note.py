"""Fuzz target: signed notes, checkpoints and the frontiers in them."""

from __future__ import annotations

from vedette.codec import note
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes give a note that is written back as it was, or a ParseError."""
    try:
        text, signatures = note.decode_note(data)
        assert note.encode_note(text, signatures) == data
        checkpoint = note.parse_checkpoint(text)
        assert note.checkpoint_text(checkpoint) == text
        assert note.parse_frontier(checkpoint).root() == checkpoint.root
    except ParseError:
        return
