"""Inputs that end too early, for parsers that must refuse each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vedette.errors import ParseError


def taken_when_cut(
    parse: Callable[[bytes], object], whole: bytes, sizes: Iterable[int]
) -> list[int]:
    """The sizes at which a parser takes what is left of an input; [] if it refuses each.

    All of them in one test: one for each byte costs a hundred times what the parser does.

    Args:
        parse: anything but a ParseError goes through.
        whole: an input that it takes.
        sizes: how many bytes are left.
    """
    return [size for size in sizes if not _refuses(parse, whole[:size])]


def _refuses(parse: Callable[[bytes], object], data: bytes) -> bool:
    try:
        parse(data)
    except ParseError:
        return True
    return False
