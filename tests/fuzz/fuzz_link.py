"""Frames between sentinel and uplink."""

from __future__ import annotations

from vedette.codec import link
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes are refused, or are a frame that is the same after it was written and read."""
    try:
        frame = link.decode(data)
    except ParseError:
        return
    if link.decode(link.encode(frame)) != frame:
        raise AssertionError(f"a frame changed on its way: {frame}")
