"""What a device says on its serial port: a file of all its starts, read from the last one on."""

from __future__ import annotations

import re
from pathlib import Path

from vedette.codec.text import escape

_TAIL_LINES = 15


class Console:
    """The console of one device.

    Args:
        path: QEMU appends to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._said_before = 0

    def __str__(self) -> str:
        return str(self.path)

    @property
    def size_bytes(self) -> int:
        """Of what it said over all its starts."""
        return self.path.stat().st_size

    def clear(self) -> None:
        """Begin with a device that has never said anything."""
        self.path.write_bytes(b"")
        self.begin()

    def begin(self) -> None:
        """From now on it is another start."""
        self._said_before = self.size_bytes

    def said(self) -> str:
        """What the device said since its last start."""
        with self.path.open("rb") as stream:
            stream.seek(self._said_before)
            return stream.read().decode("utf-8", "replace")

    def line(self, wanted: re.Pattern[str]) -> str | None:
        """The first line since the last start that this expression finds."""
        return next((line for line in self.said().splitlines() if wanted.search(line)), None)

    def tail(self) -> str:
        """Its last lines since the last start, for people."""
        lines = self.said().splitlines()[-_TAIL_LINES:]
        return "\n".join(f"    {escape(line)}" for line in lines) or "    (nothing)"
