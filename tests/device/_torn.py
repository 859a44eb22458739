"""Bytes of a device's disk that a power cut left as they never were."""

from __future__ import annotations

from pathlib import Path


def tear(disk: Path, at: int, size: int) -> None:
    """Turn each bit of these bytes."""
    with disk.open("r+b") as stream:
        stream.seek(at)
        before = stream.read(size)
        stream.seek(at)
        stream.write(bytes(byte ^ 0xFF for byte in before))
