"""Lines and tables for people: coloured on a terminal, plain elsewhere, no control characters."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import TextIO

from vedette.codec.text import escape

RED, GREEN, YELLOW, GREY, BOLD = "31", "32", "33", "90", "1"
_CODES = re.compile(r"\x1b\[[0-9;]*m")


def is_colourful(stream: TextIO) -> bool:
    """Whether colours help: a terminal, and nobody said NO_COLOR (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """The text, escaped, in a colour where that helps."""
    safe = escape(text)
    return f"\x1b[{colour}m{safe}\x1b[0m" if is_colourful(stream or sys.stdout) else safe


def width(text: str) -> int:
    """Columns of a painted text."""
    return len(_CODES.sub("", text))


def columns(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Lines whose cells stand below each other; the last one is as long as it is."""
    widths = [max(width(row[index]) for row in rows) for index in range(len(rows[0]) - 1)]
    return [_line(row, (*widths, 0), gap) for row in rows]


def say(line: str) -> None:
    """One line, at once and whole: readers of a pipe wait for it, and threads speak, too."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _line(row: Sequence[str], widths: Sequence[int], gap: str) -> str:
    cells = [cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)]
    return gap.join(cells).rstrip()
