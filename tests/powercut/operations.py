"""What a program did to its files: the records of tests/simulators/recorded_disk.c as values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Made:
    """A file (or folder) came to be, with a name."""

    inode: int
    path: str
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes went into a file at an offset."""

    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resized:
    """A file was cut, or grown by zeros."""

    inode: int
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """fsync(2) or fdatasync(2) of a file or folder returned; 0: of everything."""

    inode: int


@dataclass(frozen=True, slots=True)
class Renamed:
    """One name became another, or both changed places."""

    old: str
    new: str
    is_exchange: bool = False


@dataclass(frozen=True, slots=True)
class Linked:
    """A file got a second name."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Pointed:
    """A symbolic link came to be."""

    target: str
    path: str


@dataclass(frozen=True, slots=True)
class Removed:
    """A name (of a file, link or empty folder) went."""

    path: str


@dataclass(frozen=True, slots=True)
class Marked:
    """The program said how far it is: what it began, what it may rely on."""

    text: str


Operation: TypeAlias = (
    Made | Written | Resized | Synced | Renamed | Linked | Pointed | Removed | Marked
)

_EXCHANGE: Final = 2


class RecordError(Exception):
    """The record is not whole, or holds what cannot be replayed."""


def parse(record: bytes) -> list[Operation]:
    """The operations of a record, in the order in which they were made.

    Raises:
        RecordError: it ends in the middle, or something was done that is not modelled.
    """
    return list(_parse(record))


def _parse(record: bytes) -> Iterator[Operation]:
    place = 0

    def take(size: int) -> bytes:
        nonlocal place
        found = record[place : place + size]
        if len(found) != size:
            raise RecordError(f"expected {size} bytes at {place}, got {len(found)}")
        place += size
        return found

    while place < len(record):
        line = record.find(b"\n", place)
        if line < 0:
            raise RecordError(f"expected a line at {place}, got {record[place : place + 40]!r}")
        kind, *words = record[place:line].decode("ascii").split(" ")
        place = line + 1
        yield _operation(kind, [int(word) for word in words], take)
        if take(1) != b"\n":
            raise RecordError(f"expected the end of a record {kind} at {place - 1}")


def _operation(kind: str, numbers: list[int], take: Callable[[int], bytes]) -> Operation:
    def text(place: int) -> str:
        return take(numbers[place]).decode("utf-8", "surrogateescape")

    makers: dict[str, tuple[int, Callable[[], Operation]]] = {
        "C": (2, lambda: Made(numbers[0], text(1))),
        "D": (2, lambda: Made(numbers[0], text(1), is_folder=True)),
        "W": (3, lambda: Written(numbers[0], numbers[1], take(numbers[2]))),
        "T": (2, lambda: Resized(numbers[0], numbers[1])),
        "S": (1, lambda: Synced(numbers[0])),
        "A": (0, lambda: Synced(0)),
        "R": (3, lambda: Renamed(text(0), text(1), is_exchange=bool(numbers[2] & _EXCHANGE))),
        "L": (2, lambda: Linked(text(0), text(1))),
        "Y": (2, lambda: Pointed(text(0), text(1))),
        "U": (1, lambda: Removed(text(0))),
        "X": (1, lambda: Removed(text(0))),
        "M": (1, lambda: Marked(text(0))),
    }
    if kind == "?":
        raise RecordError(f"{text(0)}: this cannot be replayed; record it another way")
    count, make = makers.get(kind, (-1, lambda: Synced(0)))
    if count != len(numbers):
        raise RecordError(f"expected a record, got {kind} {numbers}")
    return make()
