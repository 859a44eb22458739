"""Reads TOML tables into frozen dataclasses and names every mistake with its place.

Rule 1: a setting is a dataclass field made with `setting(kind, default)`; its kind says what is
accepted in words that the error message repeats.
Rule 2: all mistakes are collected; the reader never stops at the first.
Rule 3: a setting that Python keeps for itself (`class`) is a field with a final underscore.
"""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from keyword import iskeyword
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from vedette.codec.text import escape, quoted

if TYPE_CHECKING:
    from vedette.codec.toml_places import Path

MAX_SHOWN = 10**40
"""Python refuses to print numbers beyond 4,300 digits (sys.set_int_max_str_digits)."""

Value = TypeVar("Value")
Read_co = TypeVar("Read_co", covariant=True)
Section = TypeVar("Section")


class Mistake(NamedTuple):
    """What is wrong at a path of the document, as one clause for people."""

    path: Path
    message: str


class WrongValueError(Exception):
    """A kind refuses a value; `within` leads to the offending element of a list."""

    def __init__(self, expected: str, value: object, within: Path = ()) -> None:
        super().__init__(f"expected {expected}, got {describe(value)}")
        self.within = within


class Kind(ABC, Generic[Read_co]):
    """What a setting accepts."""

    @abstractmethod
    def read(self, value: object) -> Read_co:
        """Return the value as the configuration keeps it, or raise WrongValueError."""


class Flag(Kind[bool]):
    """true or false."""

    def read(self, value: object) -> bool:
        """Accept booleans only: 1 and "yes" are mistakes in TOML."""
        if not isinstance(value, bool):
            raise WrongValueError("true or false", value)
        return value


@dataclasses.dataclass(frozen=True, slots=True)
class Number(Kind[int]):
    """A whole number with both bounds included."""

    low: int
    high: int

    def read(self, value: object) -> int:
        """Accept integers in range; a boolean is none."""
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
        ):
            return value
        raise WrongValueError(f"a whole number from {self.low} to {self.high}", value)


@dataclasses.dataclass(frozen=True, slots=True)
class Text(Kind[str]):
    """Text that matches a pattern as a whole; `words` describe it."""

    pattern: str
    words: str

    def read(self, value: object) -> str:
        """Accept text of the pattern."""
        if isinstance(value, str) and re.fullmatch(self.pattern, value):
            return value
        raise WrongValueError(self.words, value)


@dataclasses.dataclass(frozen=True, slots=True)
class Choice(Kind[str]):
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, value: object) -> str:
        """Accept exactly one of the words."""
        if isinstance(value, str) and value in self.words:
            return value
        raise WrongValueError("one of " + ", ".join(f'"{word}"' for word in self.words), value)


@dataclasses.dataclass(frozen=True, slots=True)
class AbsolutePath(Kind[str]):
    """An absolute path without `..`, at most `longest` bytes; "" where `is_optional`."""

    is_optional: bool = False
    longest: int = 4095

    def read(self, value: object) -> str:
        """Accept the path with doubled and final slashes removed."""
        if value == "" and self.is_optional:
            return ""
        if isinstance(value, str) and value.startswith("/") and "\0" not in value:
            parts = [part for part in value.split("/") if part not in {"", "."}]
            path = "/" + "/".join(parts)
            size = len(path.encode("utf-8", "surrogatepass"))
            if ".." not in parts and size <= self.longest:
                return path
        limit = "" if self.longest == 4095 else f" of at most {self.longest} bytes"  # noqa: PLR2004 (PATH_MAX, path_resolution(7))
        raise WrongValueError(f"an absolute path{limit} without ..", value)


@dataclasses.dataclass(frozen=True, slots=True)
class Many(Kind[tuple[str, ...]]):
    """A list of `fewest` to `most` texts of one kind, each once."""

    element: Kind[str]
    fewest: int
    most: int

    def read(self, value: object) -> tuple[str, ...]:
        """Accept the list; names the first element that is wrong."""
        if not isinstance(value, list) or not self.fewest <= len(value) <= self.most:
            raise WrongValueError(f"a list of {self.fewest} to {self.most} texts", value)
        texts: list[str] = []
        for index, item in enumerate(value):
            try:
                text = self.element.read(item)
            except WrongValueError as error:
                error.within = (index, *error.within)
                raise
            if text not in texts:
                texts.append(text)
        return tuple(texts)


class UserName(Kind[str]):
    """A user's name, or uid as number or text; kept as text."""

    def read(self, value: object) -> str:
        """Accept a name that useradd(8) would, or a uid below the two reserved ones."""
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 - 2:
            return str(value)
        if isinstance(value, str) and re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}|[0-9]{1,9}", value):
            return value
        raise WrongValueError('a user name such as "vedette-uplink", or a uid', value)


def setting(kind: Kind[Value], default: Value) -> Value:
    """A dataclass field that is read by `kind`."""
    return dataclasses.field(default=default, metadata={"kind": kind})


def kinds(section: type[object]) -> dict[str, Kind[object]]:
    """The settings of a section by name."""
    if not dataclasses.is_dataclass(section):
        raise TypeError(f"expected a dataclass, got {section!r}")
    return {
        field.name.rstrip("_"): field.metadata["kind"]
        for field in dataclasses.fields(section)
        if "kind" in field.metadata
    }


def read_table(
    table: object, path: Path, known: Mapping[str, Kind[object]], mistakes: list[Mistake]
) -> dict[str, object]:
    """Read_co the settings of one table.

    Args:
        table: what the document has at `path`.
        path: where that is.
        known: the settings there are.
        mistakes: gets one entry for each thing that is wrong.

    Returns:
        The good settings among those that the document gives.
    """
    if not isinstance(table, dict):
        mistakes.append(Mistake(path, f"expected a table, got {describe(table)}"))
        return {}
    good: dict[str, object] = {}
    for name, value in table.items():
        kind = known.get(name)
        if kind is None:
            mistakes.append(Mistake((*path, name), unknown("key", name, known)))
            continue
        try:
            good[name] = kind.read(value)
        except WrongValueError as error:
            mistakes.append(Mistake((*path, name, *error.within), f"{name}: {error}"))
    return good


def read_section(
    section: type[Section], table: object, path: Path, mistakes: list[Mistake]
) -> Section:
    """Read one table into its dataclass; wrong and absent settings have their default."""
    good = read_table(table, path, kinds(section), mistakes)
    return section(**{f"{name}_" if iskeyword(name) else name: good[name] for name in good})


def enabled_by(
    key: str, what: str, section: Section, table: object, path: Path, mistakes: list[Mistake]
) -> Section:
    """A section that is enabled where `key` is given, unless it says itself; without is a mistake.

    Args:
        key: a setting of the section, which has `enabled` too.
        what: it is, for people.
        section: as `read_section` read it from the table.
        path: of the table.
    """
    given = table if isinstance(table, dict) else {}
    if "enabled" not in given:
        return dataclasses.replace(section, enabled=bool(getattr(section, key)))  # type: ignore[type-var] # each is a dataclass
    if given["enabled"] is True and key not in given:
        words = f"enabled: expected {what} beside it; add {key}, or set enabled = false"
        mistakes.append(Mistake((*path, "enabled"), words))
    return section


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown and which one was likely meant, or which there are."""
    import difflib  # noqa: PLC0415 (1 MB that only a mistyped name needs)

    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    there_are = f"there are: {', '.join(names)}" if names else "there are none here: remove it"
    return f'unknown {what} "{escape(name)[:60]}": ' + (
        f'did you mean "{close[0]}"?' if close else there_are
    )


def describe(value: object) -> str:
    """A value of the document and its type in TOML's words."""
    if isinstance(value, str):
        return f"{quoted(value)} (text)"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, int) and abs(value) > MAX_SHOWN:
        return "a huge number"
    words = {bool: "a boolean", int: "a number", float: "a fraction"}
    shown = str(value).lower() if isinstance(value, bool) else quoted(value)
    return f"{shown} ({words.get(type(value), 'a date or time')})"
