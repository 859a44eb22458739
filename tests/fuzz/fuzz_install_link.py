"""Frames between installer and updater."""

from __future__ import annotations

from vedette.codec import install_link as link
from vedette.errors import ParseError

SEEDS = [
    link.encode(frame)[link.LENGTH.size :]
    for frame in (
        link.WantMetadata("2.root.json", 1 << 20),
        link.WantTarget("firmware/cam/ab.img", ((0, 4096), (2**33, 1))),
        link.Leave(),
        link.Data(memoryview(b"bytes")),
        link.End(),
        link.Absent("not there"),
        link.Failed("cut"),
    )
]


def target(data: bytes) -> None:
    """Any bytes are refused, or are a frame that is the same after it was written and read.

    A reason is text for people: bytes that are none become others.
    """
    try:
        frame = link.decode(data)
    except ParseError:
        return
    if isinstance(frame, link.Absent | link.Failed):
        return
    if link.decode(link.encode(frame)[link.LENGTH.size :]) != frame:
        raise AssertionError(f"a frame changed on its way: {frame}")
