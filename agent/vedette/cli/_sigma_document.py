"""YAML documents with the places of their keys, so that an error names file, line and column.

Rule 1: operator side only: YAML is imported when a document is read.
Rule 2: what YAML would pass over in silence (a key given twice) is an error here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from vedette.errors import DeviceError, RuleError

MAX_FILE_BYTES = 1 << 20
"""Ours: the largest of SigmaHQ's Linux rules has 6 KB."""


class Key(NamedTuple):
    """One key of a mapping: the keys that lead to it, its place (from 1) and its plain values."""

    path: tuple[str, ...]
    line: int
    column: int
    texts: tuple[str, ...]


class Document(NamedTuple):
    """One YAML document: its value and its keys in the order of the file."""

    file: Path
    value: Mapping[str, Any]
    keys: tuple[Key, ...]

    def refuse(self, message: str, at: str | Key = "", *, skip: int = 0) -> NoReturn:
        """Raise a RuleError with its place.

        Args:
            message: what was expected and what came.
            at: a key, or the name of one at the top; the first line when there is none.
            skip: characters to the right of the key's beginning.
        """
        line, column = (at.line, at.column) if isinstance(at, Key) else self.place(at)
        raise RuleError(f"{self.file}:{line}:{column + skip}: {message}")

    def place(self, name: str) -> tuple[int, int]:
        """Line and column of a key at the top, of the document where there is none."""
        for key in self.keys:
            if key.path == (name,):
                return key.line, key.column
        return (self.keys[0].line, 1) if self.keys else (1, 1)


class Item(NamedTuple):
    """One mapping of a list and the line where it begins (from 1)."""

    line: int
    value: Mapping[str, Any]


def load(file: Path) -> list[Document]:
    """Read the documents of a file, each a mapping.

    Raises:
        RuleError: it cannot be read, is no YAML, or a document is no mapping.
        DeviceError: PyYAML is not installed.
    """
    return [_document(file, node, value) for node, value in _parse(file)]


def load_list(file: Path) -> list[Item]:
    """Read a file that holds one list of mappings.

    Raises:
        RuleError: it cannot be read, is no YAML, or holds something else.
        DeviceError: PyYAML is not installed.
    """
    items: list[Item] = []
    for node, values in _parse(file):
        if not isinstance(values, list):
            raise RuleError(f"{file}:1:1: expected a list, got {type(values).__name__}")
        for child, value in zip(node.value, values, strict=True):
            line = child.start_mark.line + 1
            if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
                raise RuleError(f"{file}:{line}:1: expected a mapping with named keys")
            items.append(Item(line, value))
    return items


def _parse(file: Path) -> list[tuple[Any, Any]]:
    """The documents of a file, each as a tree with places and as a value."""
    yaml = _yaml()
    try:
        data = file.read_bytes()
        if len(data) > MAX_FILE_BYTES:
            raise RuleError(f"{file}:1:1: expected at most {MAX_FILE_BYTES} bytes of YAML")
        text = data.decode()
        nodes = [node for node in yaml.compose_all(text, yaml.SafeLoader) if node is not None]
        values = [value for value in yaml.safe_load_all(text) if value is not None]
    except OSError as error:
        raise RuleError(f"{file}:1:1: cannot read it: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RuleError(f"{file}:1:1: expected UTF-8 text, byte {error.start} is none") from error
    except yaml.YAMLError as error:
        raise RuleError(_yaml_message(file, error)) from error
    except (RecursionError, ValueError) as error:
        raise RuleError(f"{file}:1:1: expected YAML of plain values: {error}") from error
    nodes = [node for node in nodes if node.tag != "tag:yaml.org,2002:null"]
    return list(zip(nodes, values, strict=True))


def _document(file: Path, node: Any, value: Any) -> Document:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        line = node.start_mark.line + 1
        raise RuleError(f"{file}:{line}:1: expected a mapping with named keys at the top")
    return Document(file, value, tuple(_keys(file, node, ())))


def _keys(file: Path, node: Any, path: tuple[str, ...]) -> Iterator[Key]:
    if node.id == "sequence":
        for child in node.value:
            yield from _keys(file, child, path)
    if node.id != "mapping":
        return
    seen: set[str] = set()
    for name, child in node.value:
        line, column = name.start_mark.line + 1, name.start_mark.column + 1
        text = str(name.value)
        if text in seen:
            raise RuleError(f"{file}:{line}:{column}: expected {text!r} once, got it twice")
        seen.add(text)
        yield Key((*path, text), line, column + (1 if name.style else 0), _texts(child))
        yield from _keys(file, child, (*path, text))


def _texts(node: Any) -> tuple[str, ...]:
    children = node.value if node.id == "sequence" else [node]
    return tuple(str(child.value) for child in children if child.id == "scalar")


def _yaml_message(file: Path, error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return f"{file}:{line}:{column}: expected YAML: {getattr(error, 'problem', None) or error}"


def _yaml() -> Any:
    try:
        import yaml  # noqa: PLC0415 (operator side only)
    except ImportError as error:
        raise DeviceError(
            "reading rules needs PyYAML, which a device does not carry: on the operator's machine "
            "run `pip install 'vedette[operator]'`"
        ) from error
    return yaml
