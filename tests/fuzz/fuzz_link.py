"""Frames between sentinel and uplink."""

from __future__ import annotations

from vedette.codec import link
from vedette.errors import ParseError
from vedette.model.message import Message, Outcome

_MESSAGE = Message(
    9, "b" * 32, "up/finding", "application/json", (("id", "x"),), b"{}", bytes(64),
    retain=False, expiry_s=0,
)  # fmt: skip
SEEDS = [
    link.encode(frame)
    for frame in (
        link.Open("acme", "cam-7", _MESSAGE, _MESSAGE, ("cameras",)),
        link.Publish(1, _MESSAGE),
        link.Leave(),
        link.Down(b"\x00", 1),
        link.Hearing("no"),
        link.Alive(),
        link.Result(1, Outcome(9, 0)),
        link.Hints((("a.example", 1),), (("a.example", "192.0.2.1", 60),), 0),
    )
]


def target(data: bytes) -> None:
    """Any bytes are refused, or are a frame that is the same after it was written and read."""
    try:
        frame = link.decode(data)
    except ParseError:
        return
    if link.decode(link.encode(frame)) != frame:
        raise AssertionError(f"a frame changed on its way: {frame}")
