"""Fuzzes the parser of /proc/self/mountinfo: whoever may mount chooses names in it."""

from __future__ import annotations

from vedette.codec.mountinfo import parse_mounts
from vedette.errors import ParseError

SEEDS = (
    b"36 35 98:0 /root /mnt/a\\040b ro,noatime master:1 - ext3 /dev/root rw\n",
    b"22 27 0:21 / /proc rw,relatime - proc proc rw\n",
)


def target(data: bytes) -> None:
    """Any bytes give mounts, one for each line that is not empty, or a ParseError."""
    try:
        mounts = parse_mounts(data)
    except ParseError:
        return
    lines = sum(1 for line in data.split(b"\n") if line)
    if len(mounts) != lines:
        raise AssertionError(f"expected {lines} mounts, got {len(mounts)}")
