"""Fuzz target: good copies of files as they lie on the disk."""

from __future__ import annotations

from vedette.codec import good_copy
from vedette.errors import ParseError
from vedette.model.baseline import GoodCopy

SEEDS = (
    good_copy.encode(GoodCopy("/etc/passwd", {}, b"root:x:0:0::/:/bin/sh\n")),
    good_copy.encode(GoodCopy("/etc/x", {"user.a": b"\0\xff"}, b"")),
)


def target(data: bytes) -> None:
    """Any bytes give a copy that is written and read back as it was, or a ParseError."""
    try:
        copy = good_copy.decode(data)
    except ParseError:
        return
    assert good_copy.decode(good_copy.encode(copy)) == copy
