"""Values out of parsed JSON, checked one by one: what is not exactly as its format says is refused.

Rule 1: every function returns what it promises or raises ParseError with what was expected.
Rule 2: an error shows foreign scalars escaped and short, and of lists and objects only their type:
what is inside may be deep or endless.
Rule 3: True is no number, 1.0 is no whole number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from vedette.codec.text import escape, quoted
from vedette.errors import ParseError

MAX_NUMBER = 2**53 - 1
"""What every JSON reader holds exactly."""

SHA256 = re.compile(r"[0-9a-f]{64}")

Entry = TypeVar("Entry")
Word = TypeVar("Word", bound=StrEnum)


def fields(value: object, what: str, names: frozenset[str]) -> Mapping[str, Any]:
    """An object with exactly these names."""
    if not isinstance(value, Mapping):
        raise ParseError(f"expected {what} as an object, got {shown(value)}")
    if value.keys() != names:
        odd = quoted(", ".join(sorted(map(str, value.keys() ^ names))), 120)
        expected = ", ".join(sorted(names))
        raise ParseError(f"{what}: expected {expected}; missing or unknown: {odd}")
    return value


def rows(value: object, what: str, most: int, read: Callable[[Any], Entry]) -> tuple[Entry, ...]:
    """A list of at most so many entries, each read by `read`."""
    if not isinstance(value, list) or len(value) > most:
        got = f"{len(value)}" if isinstance(value, list) else shown(value)
        raise ParseError(f"expected a list of at most {most} {what}, got {got}")
    return tuple(read(one) for one in value)


def texts(value: object, what: str, most: int, pattern: re.Pattern[str]) -> tuple[str, ...]:
    """Sorted texts that match, each once."""
    found = rows(value, what, most, lambda one: matched(one, f"an entry of {what}", pattern))
    if list(found) != sorted(set(found)):
        raise ParseError(f"expected {what} sorted, each once")
    return found


def matched(value: object, what: str, pattern: re.Pattern[str]) -> str:
    """Text that matches as a whole."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ParseError(f"expected {what}, got {shown(value)}")
    return value


def digest(value: object) -> str:
    """A SHA-256 in hex."""
    return matched(value, "a SHA-256 of 64 small hex digits", SHA256)


def visible(value: object, what: str, most: int) -> str:
    """Text that a person may safely be shown, "" included."""
    if not isinstance(value, str) or len(value) > most or escape(value) != value:
        raise ParseError(f"expected {what} of at most {most} visible characters")
    return value


def word(value: object, what: str, words: type[Word]) -> Word:
    """One of the words of an enumeration."""
    found = next((one for one in words if isinstance(value, str) and one == value), None)
    if found is None:
        raise ParseError(f"expected {what} of {', '.join(words)}, got {shown(value)}")
    return found


def truth(value: object, what: str) -> bool:
    """True or False, no number."""
    if not isinstance(value, bool):
        raise ParseError(f"expected {what} to be true or false, got {shown(value)}")
    return value


def number(value: object, what: str, low: int, high: int = MAX_NUMBER) -> int:
    """A whole number of a range, both ends in it."""
    if type(value) is not int or not low <= value <= high:
        raise ParseError(
            f"expected {what} to be a whole number from {low} to {high}, got {shown(value)}"
        )
    return value


def format_number(value: object, wanted: int) -> None:
    """The version of a format: another one asks for another agent."""
    if type(value) is not int or value != wanted:
        raise ParseError(
            f"expected format {wanted}, got {shown(value)}; another needs a newer agent"
        )


def shown(value: object) -> str:
    """A foreign value for an error message."""
    return type(value).__name__ if isinstance(value, list | tuple | Mapping) else quoted(value)
