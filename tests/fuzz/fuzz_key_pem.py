"""Fuzz target: key files."""

from __future__ import annotations

from vedette.codec import key_pem
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes give a key of 32 bytes or a ParseError that repeats none of them."""
    for decode in (key_pem.decode_private, key_pem.decode_public):
        try:
            assert len(decode(data)) == key_pem.KEY_BYTES
        except ParseError as error:
            shown = str(error)
        else:
            shown = ""
        is_short = len(data) < 16
        assert is_short or data.decode("latin-1") not in shown
