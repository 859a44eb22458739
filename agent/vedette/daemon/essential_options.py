"""The [essential] table: what this device is there for, and how it is known to work.

Rule: each table below it, [essential.NAME], is one function; it names a unit, a port, a file or a
command, or several of them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

from vedette.codec.address_sets import address_number
from vedette.codec.addresses import is_loopback
from vedette.codec.text import escape
from vedette.codec.units import unit_name
from vedette.daemon.response_options import Address, FlowText
from vedette.daemon.schema import (
    AbsolutePath,
    Kind,
    Many,
    Mistake,
    Number,
    UserName,
    WrongValueError,
    describe,
    read_table,
)
from vedette.errors import ParseError
from vedette.model.essential import EssentialFunction

MAX_FUNCTIONS = 16
"""Ours: each is probed every minute, and what is essential is little."""
MAX_WORDS = 64
MAX_WORD_CHARS = 4096
DEFAULT_EVERY_S = 60

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclasses.dataclass(frozen=True, slots=True)
class Essential:
    """The checked table.

    Attributes:
        every_s: seconds between two probes that no response asks for.
    """

    every_s: int = DEFAULT_EVERY_S
    functions: tuple[EssentialFunction, ...] = ()


NOTHING_ESSENTIAL = Essential()


class Unit(Kind[str]):
    """A unit's full name."""

    def read(self, value: object) -> str:
        """Accept "streamer.service"."""
        try:
            return unit_name(value) if isinstance(value, str) else self._refuse(value)
        except ParseError as error:
            raise WrongValueError('a unit with its suffix, such as "a.service"', value) from error

    def _refuse(self, value: object) -> str:
        raise WrongValueError('a unit with its suffix, such as "a.service"', value)


class Host(Kind[str]):
    """One address."""

    def read(self, value: object) -> str:
        """Accept an IPv4 or IPv6 address without a port."""
        if isinstance(value, str) and address_number(value) is not None:
            return value
        raise WrongValueError('an address such as "127.0.0.1" or "::1"', value)


class Command(Kind[tuple[str, ...]]):
    """A program and its arguments; no shell reads them."""

    def read(self, value: object) -> tuple[str, ...]:
        """Accept a list of texts whose first is an absolute path."""
        if not isinstance(value, list) or not 0 < len(value) <= MAX_WORDS:
            raise WrongValueError(f"a list of 1 to {MAX_WORDS} texts, the program first", value)
        AbsolutePath().read(value[0])
        for index, word in enumerate(value):
            if not isinstance(word, str) or "\0" in word or len(word) > MAX_WORD_CHARS:
                raise WrongValueError(
                    f"text of at most {MAX_WORD_CHARS} characters", word, (index,)
                )
        return tuple(value)


FUNCTION: Mapping[str, Kind[object]] = {
    "unit": Unit(),
    "address": Host(),
    "port": Number(1, 65_535),
    "file": AbsolutePath(is_optional=True),
    "command": Command(),
    "user": UserName(),
    "peers": Many(Address(), 0, 64),
    "paths": Many(AbsolutePath(), 0, 64),
    "flows": Many(FlowText(), 0, 64),
    "timeout_s": Number(1, 60),
}
"""The settings of one function."""

EVERY_S = Number(5, 3600)


def read_essential(table: object, mistakes: list[Mistake]) -> Essential:
    """Read the table; what is wrong is added to `mistakes` and left out."""
    if not isinstance(table, dict):
        mistakes.append(Mistake(("essential",), f"expected a table, got {describe(table)}"))
        return NOTHING_ESSENTIAL
    plain = {name: value for name, value in table.items() if not isinstance(value, dict)}
    read = read_table(plain, ("essential",), {"every_s": EVERY_S}, mistakes)
    tables = {name: value for name, value in table.items() if isinstance(value, dict)}
    functions = read_functions(tables, ("essential",), mistakes)
    every_s = read.get("every_s", DEFAULT_EVERY_S)
    return Essential(every_s if isinstance(every_s, int) else DEFAULT_EVERY_S, functions)


def open_flows(functions: Iterable[EssentialFunction]) -> tuple[str, ...]:
    """What stays open for them when the device is isolated, each once, as codec/flow.py reads it.

    A port that is declared takes connections from anywhere, as it does without isolation; one at
    an address that is not loopback may be another host's, which has to be reached then.
    """
    found: dict[str, None] = {}
    for one in functions:
        if one.port:
            found[f"in tcp {one.port}"] = None
        number = address_number(one.address)
        if one.port and number is not None and not is_loopback(number.raw):
            found[f"out tcp {one.port} {one.address}"] = None
        found.update(dict.fromkeys(one.flows))
    return tuple(found)


def read_functions(
    tables: Mapping[str, object], path: tuple[str, ...], mistakes: list[Mistake]
) -> tuple[EssentialFunction, ...]:
    """Read tables of functions; what is wrong is added to `mistakes` and left out.

    Args:
        tables: by the name of the function.
        path: of the table that holds them.
    """
    if len(tables) > MAX_FUNCTIONS:
        words = f"expected at most {MAX_FUNCTIONS} functions, got {len(tables)}"
        mistakes.append(Mistake(path, words))
    chosen = list(tables.items())[:MAX_FUNCTIONS]
    return tuple(_function(name, table, (*path, name), mistakes) for name, table in chosen)


def _function(
    name: str, table: object, path: tuple[str, ...], mistakes: list[Mistake]
) -> EssentialFunction:
    if not _NAME.fullmatch(name):
        words = f'"{escape(name)[:60]}": expected a name of 1 to 64 letters, digits, dots, _ and -'
        mistakes.append(Mistake(path, words))
    given = read_table(table, path, FUNCTION, mistakes)
    if isinstance(table, dict) and not {"unit", "port", "file", "command"} & table.keys():
        words = "expected a unit, a port, a file or a command to know it works by; add one of them"
        mistakes.append(Mistake(path, words))
    return EssentialFunction(name, **given)  # type: ignore[arg-type] # each was read by its kind
