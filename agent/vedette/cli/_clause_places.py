"""Where in its file a comparison of a compiled rule was written.

Rule: each value of a detection is compiled alone and remembered by the comparisons it becomes, so
that this file knows nothing of Sigma's modifiers; what is not found is placed at the detection.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from vedette.cli._refutation import literals
from vedette.cli._sigma_compiler import NO_PLACEHOLDERS, compile_rule
from vedette.cli._sigma_condition import Placeholders
from vedette.cli._sigma_document import Document, Key
from vedette.errors import RuleError
from vedette.model.rule import Match

MAX_ENTRIES = 2_000
"""Ours: values of one rule that are looked through; SigmaHQ's largest has 100."""

_KEY_DEPTH = 3  # detection, the name of a selection, the key


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
    """Finds the places of one document's comparisons; nothing is compiled before it is asked.

    Args:
        document: a detection rule that compiles.
        placeholders: as it was compiled with.
    """

    def __init__(self, document: Document, placeholders: Placeholders = NO_PLACEHOLDERS) -> None:
        self._document = document
        self._placeholders = placeholders
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
    def _entries(self) -> tuple[_Entry, ...]:
        return tuple(islice(_entries(self._document), MAX_ENTRIES))

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
            compiled = compile_rule(document, self._placeholders)
        except RuleError:
            return frozenset()
        return frozenset(match for rule in compiled.rules for match in literals(rule.condition))


def _field(entry: _Entry) -> str:
    return entry.place.key.partition("|")[0]


def _entries(document: Document) -> Iterator[_Entry]:
    for key in document.keys:
        if key.path[0] == "detection" and len(key.path) > 1 and key.path[1] != "condition":
            yield from _of_key(key)


def _of_key(key: Key) -> Iterator[_Entry]:
    held = key.value if isinstance(key.value, list) else [key.value]
    plain = [value for value in held if not isinstance(value, list | dict)]
    name = key.path[-1] if len(key.path) >= _KEY_DEPTH else ""
    for value, (line, column) in zip(plain, key.places, strict=False):
        yield _Entry(Place(line, column, key.path[1], name), value)
