"""Where in its file a comparison of a compiled rule was written.

Rule: each value of a detection is compiled alone and remembered by the comparisons it becomes, so
that this file knows nothing of Sigma's modifiers; what is not found is placed at the detection.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from vedette.cli._refutation import literals
from vedette.cli._sigma_compiler import compile_rule
from vedette.cli._sigma_document import MAX_FILE_BYTES, Document
from vedette.errors import RuleError
from vedette.model.rule import Match

MAX_ENTRIES = 2_000
"""Ours: values of one rule that are looked through; SigmaHQ's largest has 100."""


class Place(NamedTuple):
    """A place in a file, from 1; `selection` and `key` as written, "" where not known."""

    line: int
    column: int
    selection: str = ""
    key: str = ""


class _Entry(NamedTuple):
    place: Place
    value: Any


class ClausePlaces:
    """Finds the places of one document's comparisons; nothing is read before the first question."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._compiled: dict[int, frozenset[Match]] = {}

    def of(self, match: Match) -> Place:
        """Where the value stands that became this comparison."""
        entries = list(enumerate(self._entries))
        entries.sort(key=lambda pair: _field(pair[1]) != match.field)
        for number, entry in entries:
            if match in self._matches(number, entry):
                return entry.place
        return Place(*self._document.place("detection"))

    @cached_property
    def values(self) -> tuple[Place, ...]:
        """The places of all values, in the order of the file."""
        return tuple(entry.place for entry in self._entries)

    @cached_property
    def _entries(self) -> tuple[_Entry, ...]:
        detection = self._document.value.get("detection")
        node = _detection_node(self._document)
        if node is None or not isinstance(detection, dict):
            return ()
        found: list[_Entry] = []
        for entry in _selections(node, detection):
            found.append(entry)
            if len(found) == MAX_ENTRIES:
                break
        return tuple(found)

    def _matches(self, number: int, entry: _Entry) -> frozenset[Match]:
        if number not in self._compiled:
            self._compiled[number] = self._compile(entry)
        return self._compiled[number]

    def _compile(self, entry: _Entry) -> frozenset[Match]:
        key = "|".join(word for word in entry.place.key.split("|") if word != "all")
        alone: Any = {key: entry.value} if key else [entry.value]
        value = {
            **self._document.value,
            "detection": {"alone": alone, "condition": "alone"},
            "fields": None,
        }
        document = Document(self._document.file, value, ())
        try:
            return frozenset(literals(compile_rule(document).rule.condition))
        except RuleError:
            return frozenset()


def _field(entry: _Entry) -> str:
    return entry.place.key.partition("|")[0]


def _detection_node(document: Document) -> Any:
    """The tree of a document's detection, found again by the line where the document begins."""
    first = document.keys[0].line if document.keys else 0
    for root in _trees(document.file):
        if root.id != "mapping" or root.start_mark.line + 1 != first:
            continue
        for name, child in root.value:
            if name.value == "detection" and child.id == "mapping":
                return child
    return None


def _trees(file: Path) -> list[Any]:
    import yaml  # noqa: PLC0415 (operator side only; whoever has a Document has it)

    try:
        data = file.read_bytes()
        if len(data) > MAX_FILE_BYTES:
            return []
        trees = yaml.compose_all(data.decode(), yaml.SafeLoader)
        return list(filter(None, trees))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return []


def _selections(node: Any, detection: dict[Any, Any]) -> Iterator[_Entry]:
    for name, child in node.value:
        selection = str(name.value)
        if selection != "condition" and selection in detection:
            yield from _values(child, detection[selection], selection, "")


def _values(node: Any, value: Any, selection: str, key: str) -> Iterator[_Entry]:
    if node.id == "mapping" and isinstance(value, dict):
        for (name, child), inner in zip(node.value, value.values(), strict=False):
            yield from _values(child, inner, selection, str(name.value))
    elif node.id == "sequence" and isinstance(value, list):
        for child, inner in zip(node.value, value, strict=False):
            yield from _values(child, inner, selection, key)
    elif node.id == "scalar":
        mark = node.start_mark
        yield _Entry(Place(mark.line + 1, mark.column + 1, selection, key), value)
