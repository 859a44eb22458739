"""Fuzz target: links of the checkpoints' chain, as a document and as a signed note."""

from __future__ import annotations

from vedette.codec import chain_link, note, strict_json
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes give a link that is written back as it was, or a ParseError."""
    try:
        document = strict_json.parse(data, max_bytes=chain_link.MAX_BODY_BYTES)
        signed, proof = chain_link.decode_body(document)
        assert len(proof) <= chain_link.MAX_PROOF
    except ParseError:
        signed = data
    try:
        found, link = chain_link.decode_note(signed)
    except ParseError:
        return
    assert note.checkpoint_text(link.checkpoint) == found.text
    assert len(link.key) == len(link.next_key) == 32
    assert link.number >= 0
