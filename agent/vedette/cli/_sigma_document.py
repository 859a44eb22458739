"""YAML documents with the places of their keys, so that an error names file, line and column.

Rule 1: operator side only: YAML is imported when a document is read.
Rule 2: what YAML would pass over in silence (a key given twice) is an error here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias

from vedette.errors import DeviceError, RuleError

MAX_FILE_BYTES = 1 << 20
"""Ours: the largest of SigmaHQ's Linux rules has 6 KB."""


class Key(NamedTuple):
    """One key of a mapping and where it stands (from 1).

    Attributes:
        path: the keys that lead to it, itself the last.
        texts: its plain values, one or a list of them; `places` says where each stands.
        value: what it holds, as YAML means it.
    """

    path: tuple[str, ...]
    line: int
    column: int
    texts: tuple[str, ...]
    places: tuple[tuple[int, int], ...] = ()
    value: Any = None


Path_: TypeAlias = tuple[str, ...]
"""Names of keys from the top of a document down."""


class Document(NamedTuple):
    """One YAML document: its value and its keys in the order of the file."""

    file: Path
    value: Mapping[str, Any]
    keys: tuple[Key, ...]

    def refuse(self, message: str, at: str | Key | Path_ = "", *, skip: int = 0) -> NoReturn:
        """Raise a RuleError with its place.

        Args:
            message: what was expected and what came.
            at: a key, the name of one at the top or a path of names; of names that are not there
                the longest beginning is.
            skip: characters to the right of the key's beginning.
        """
        line, column = (at.line, at.column) if isinstance(at, Key) else self.place(at)
        raise RuleError(f"{self.file}:{line}:{column + skip}: {message}")

    def refuse_value(self, message: str, key: Key, index: int) -> NoReturn:
        """Raise a RuleError with the place of one of a key's plain values."""
        line, column = key.places[index]
        raise RuleError(f"{self.file}:{line}:{column}: {message}")

    def place(self, at: str | Path_) -> tuple[int, int]:
        """Line and column of a key, of the document where there is none."""
        key = self.key(at)
        if key is not None:
            return key.line, key.column
        return (self.keys[0].line, 1) if self.keys else (1, 1)

    def key(self, at: str | Path_) -> Key | None:
        """The key at a path, or the nearest above it."""
        path = (at,) if isinstance(at, str) else at
        by_path = {key.path: key for key in reversed(self.keys)}
        lengths = range(len(path), 0, -1)
        return next((by_path[path[:n]] for n in lengths if path[:n] in by_path), None)

    def where(self, at: str | Path_) -> str:
        """file:line:column of a key, for a warning."""
        line, column = self.place(at)
        return f"{self.file}:{line}:{column}"


def load(file: Path) -> list[Document]:
    """Read the documents of a file, each a mapping.

    Raises:
        RuleError: it cannot be read, is no YAML, or a document is no mapping.
        DeviceError: PyYAML is not installed.
    """
    return [_document(file, node, value) for node, value in parse(file)]


def parse(file: Path) -> list[tuple[Any, Any]]:
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
    return Document(file, value, tuple(_Walk(file).keys(node, value, ())))


class _Walk:
    """Goes through one document; refuses what stands in it at two places at once.

    An alias in an alias doubles each time: nine short lines would be 2^30 values.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: set[int] = set()

    def keys(self, node: Any, value: Any, path: Path_) -> Iterator[Key]:
        if node.id == "scalar":
            return
        if id(node) in self._seen:
            self._refuse(node, "expected values written out, got an alias of another one")
        self._seen.add(id(node))
        if node.id == "sequence":
            for child, item in zip(node.value, value, strict=True):
                yield from self.keys(child, item, path)
            return
        yield from self._mapping(node, value, path)

    def _mapping(self, node: Any, value: Any, path: Path_) -> Iterator[Key]:
        self._check_names(node)
        if len(value) != len(node.value):
            self._refuse(node, "expected keys that differ, got one written in two ways")
        for (name, child), held in zip(node.value, value.values(), strict=True):
            text = str(name.value)
            line, column = _place(name)
            column += 1 if name.style else 0
            plain = _scalars(child)
            texts = tuple(str(scalar.value) for scalar in plain)
            yield Key((*path, text), line, column, texts, tuple(map(_place, plain)), held)
            yield from self.keys(child, held, (*path, text))

    def _check_names(self, node: Any) -> None:
        names: set[str] = set()
        for name, _ in node.value:
            text = str(name.value)
            if text in names:
                self._refuse(name, f"expected {text!r} once, got it twice")
            if text == "<<":
                self._refuse(name, "expected keys, got a merge: write them out")
            names.add(text)

    def _refuse(self, node: Any, message: str) -> NoReturn:
        line, column = _place(node)
        raise RuleError(f"{self._file}:{line}:{column}: {message}")


def _scalars(node: Any) -> list[Any]:
    children = node.value if node.id == "sequence" else [node]
    return [child for child in children if child.id == "scalar"]


def _place(node: Any) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


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
