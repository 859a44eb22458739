"""What a linter says: one place, one stable code, what is wrong and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from vedette.cli._terminal import BLUE, BOLD, GREY, RED, YELLOW, Painter

_PLACED = re.compile(r"(?s)(?P<file>.*?):(?P<line>\d+):(?P<column>\d+): (?P<message>.*)")


class Level(IntEnum):
    """How much it matters: a note may be left as it is, an error makes the rule useless."""

    NOTE = 1
    WARNING = 2
    ERROR = 3


class Diagnostic(NamedTuple):
    """One finding about a rule.

    Attributes:
        line: from 1, as `column`.
        code: stable for ever; documented in agent/docs/lint-codes.md.
        message: what was expected and what came.
        advice: what to do.
    """

    file: Path
    line: int
    column: int
    code: str
    level: Level
    message: str
    advice: str

    def for_programs(self) -> Mapping[str, object]:
        """Plain values by name."""
        return {
            "file": str(self.file),
            "line": self.line,
            "column": self.column,
            "code": self.code,
            "level": self.level.name.lower(),
            "message": self.message,
            "advice": self.advice,
        }


_COLOURS = {Level.NOTE: BLUE, Level.WARNING: YELLOW, Level.ERROR: RED}


def lines(diagnostic: Diagnostic, painter: Painter) -> list[str]:
    """Two lines for people: place, level, code, message; and what to do."""
    place = f"{diagnostic.file}:{diagnostic.line}:{diagnostic.column}:"
    word = painter.paint(diagnostic.level.name.lower(), _COLOURS[diagnostic.level])
    first = f"{painter.paint(place, BOLD)} {word} {diagnostic.code} "
    return [
        first + painter.paint(diagnostic.message, ""),
        "    " + painter.paint(diagnostic.advice, GREY),
    ]


def in_order(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Each once, by file and place."""
    return sorted(
        set(found), key=lambda it: (str(it.file), it.line, it.column, it.code, it.message)
    )


def split_place(file: Path, text: str) -> tuple[int, int, str]:
    """Line, column and message of an error that begins with its place, (1, 1, text) of others."""
    rest = text.removeprefix(f"{file}")
    found = _PLACED.fullmatch(rest if rest.startswith(":") else text)
    if found is None:
        return 1, 1, text
    return int(found["line"]), int(found["column"]), found["message"]
