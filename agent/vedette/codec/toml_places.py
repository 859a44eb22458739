"""Where in a TOML text each key stands, which tomllib does not tell.

Rule 1: the text was accepted by tomllib before; for any other text the answer is merely useless.
Rule 2: places are known for tables, keys and the elements of a key's list; whatever lies deeper
(inline tables, nested lists) has the place of the key that holds it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""(?P<string>"{3}(?:\\[\s\S]|[^\\])*?"{3,5}|'{3}[\s\S]*?'{3,5}
       |"(?:\\.|[^"\\\n])*"|'[^'\n]*')
    |(?P<skip>[ \t\r]+|\#[^\n]*)
    |(?P<newline>\n)
    |(?P<mark>[\[\]{}=,.])
    |(?P<word>[^\s\[\]{}=,."'\#]+)
    |(?P<other>[\s\S])""",
    re.VERBOSE,
)


class Place(NamedTuple):
    """A position in a text, both counted from 1 in characters."""

    line: int
    column: int


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


def places(text: str) -> dict[Path, Place]:
    """Map the path of each table, key and list element to its place.

    Args:
        text: a TOML document.

    Returns:
        Paths such as ("uplink", "port") and ("files", "watch", 2).
    """
    lines = _line_starts(text)
    found: dict[Path, Place] = {}
    for path, start in _statements(text):
        found.setdefault(path, _place(lines, start))
    return found


def nearest(known: Mapping[Path, Place], path: Path) -> Place:
    """The place of a path, or of the closest table above it that has one."""
    while path and path not in known:
        path = path[:-1]
    return known.get(path, Place(1, 1))


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


def _place(starts: list[int], offset: int) -> Place:
    low, high = 0, len(starts)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if starts[middle] <= offset else (low, middle)
    return Place(low + 1, offset - starts[low] + 1)


def _statements(text: str) -> Iterator[tuple[Path, int]]:
    """Yield (path, offset) for each header, key and list element."""
    table: Path = ()
    for line in _logical_lines(text):
        first = line[0]
        if first.text == "[" and first.kind == "mark":
            table = _key(line)
            yield table, first.start
            continue
        split = next((i for i, token in enumerate(line) if token.text == "="), len(line))
        path = (*table, *_key(line[:split]))
        yield path, first.start
        yield from _elements(path, line[split + 1 :])


def _logical_lines(text: str) -> Iterator[list[_Token]]:
    """Group tokens into statements: a line break inside brackets does not end one."""
    line: list[_Token] = []
    depth = 0
    for match in _TOKEN.finditer(text):
        token = _Token(match.lastgroup or "", match.group(), match.start())
        if token.kind == "mark":
            depth += (token.text in "[{") - (token.text in "]}")
        if token.kind == "newline" and depth <= 0:
            depth = 0
            if line:
                yield line
            line = []
        elif token.kind not in {"skip", "newline"}:
            line.append(token)
    if line:
        yield line


def _key(tokens: list[_Token]) -> Path:
    return tuple(_part(token) for token in tokens if token.kind in {"word", "string"})


def _part(token: _Token) -> str:
    if token.kind == "word":
        return token.text
    if "\\" not in token.text or token.text.startswith("'"):
        return token.text[1:-1]
    try:
        return str(tomllib.loads(f"key = {token.text}")["key"])
    except ValueError:
        return token.text[1:-1]


def _elements(path: Path, value: list[_Token]) -> Iterator[tuple[Path, int]]:
    """Yield the elements of a list value; nothing for any other value."""
    if not value or value[0].text != "[":
        return
    depth = 0
    index = 0
    is_next = False
    for token in value:
        if token.kind == "mark" and token.text in "]}":
            depth -= 1
            is_next = False
        if is_next:
            yield (*path, index), token.start
            index += 1
            is_next = False
        if token.kind == "mark" and token.text in "[{":
            depth += 1
        if depth == 1 and token.kind == "mark" and token.text in "[,":
            is_next = True
