"""Colours and columns for people: only on a terminal, and never a control character from outside.

Rule: what comes from outside is escaped by `paint` or `escape` exactly where it is put into a line;
a finished line may hold our own colour sequences and is not escaped again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TextIO

from vedette.codec.text import escape
from vedette.model.finding import Severity

BOLD, GREY, RED, GREEN, YELLOW, BLUE, WHITE_ON_RED = "1", "90", "31", "32", "33", "34", "97;41"

SEVERITY_COLOURS = {
    Severity.INFORMATIONAL: GREY,
    Severity.LOW: BLUE,
    Severity.MEDIUM: YELLOW,
    Severity.HIGH: RED,
    Severity.CRITICAL: WHITE_ON_RED,
}

_SEQUENCE = re.compile(r"\x1b\[[0-9;]*m")


def is_coloured(stream: TextIO) -> bool:
    """Whether colours are wanted there: a terminal, and neither NO_COLOR nor TERM=dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Painter:
    """Escapes text and colours it, if colours are wanted."""

    def __init__(self, *, is_coloured: bool) -> None:
        self._is_coloured = is_coloured

    def paint(self, text: str, colour: str) -> str:
        """Escaped text in a colour."""
        safe = escape(text)
        return f"\x1b[{colour}m{safe}\x1b[0m" if self._is_coloured and safe else safe


def width(text: str) -> int:
    """Characters that a terminal shows of a painted text."""
    return len(_SEQUENCE.sub("", text))


def columns(
    rows: Sequence[Sequence[str]], *, indent: str = "", right: frozenset[int] = frozenset()
) -> list[str]:
    """Lines in which the cells of painted rows stand below each other.

    Args:
        rows: of equal length.
        indent: put before each line.
        right: columns that are aligned to the right, for figures.
    """
    if not rows:
        return []
    widths = [max(width(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for index, cell in enumerate(row):
            room = " " * (widths[index] - width(cell))
            cells.append(room + cell if index in right else cell + room)
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines
