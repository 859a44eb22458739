"""Fuzz target: the file of small durable values."""

from __future__ import annotations

import hashlib

from vedette.codec import state
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes, with a right digest before them or not, give values or a ParseError."""
    sealed = hashlib.sha256(data).hexdigest().encode() + b" " + data + b"\n"
    for hostile in (data, sealed):
        try:
            counter, values = state.decode(hostile)
        except ParseError:
            continue
        assert state.decode(state.encode(counter, values)) == (counter, values)
