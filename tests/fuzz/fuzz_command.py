"""Fuzz target: operators' commands as they come from the broker."""

from __future__ import annotations

from tests.simulators.operators import ALICE, BOB, CAMERAS, HERE, command

from vedette.codec import command as codec
from vedette.errors import ParseError

SEEDS = [
    command("isolate", CAMERAS, ALICE, BOB),
    command("quarantine", HERE, arguments={"path": "/tmp/x", "sha256": "0" * 64}),
]


def target(data: bytes) -> None:
    """Any bytes are refused, or are the one encoding of a command."""
    try:
        found = codec.decode(data)
    except ParseError:
        return
    if codec.encode(found) != data:
        raise AssertionError(f"a command has two encodings: {found}")
