"""Streams of events to try rules on: a recording, lines of JSON, or made from the rules."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NoReturn

from vedette.cli._rerun import Event, is_recording, recorded_events
from vedette.cli._witness import witness
from vedette.errors import ParseError, RuleError
from vedette.model.rule import Bundle

_SEED = 1
_FREE_TEXT = ("CommandLine", "Message")  # what stands around a word makes it no other one
MAX_LINE_CHARS = 1 << 20


def read_events(file: Path) -> Iterator[Event]:
    """The events of a recording, or of a file with one JSON object a line.

    Such an object has `category` and the event's fields, all text.

    Raises:
        ParseError: the recording is damaged; what came before was given.
        RuleError: a line is no such object; the message names file and line.
    """
    return recorded_events(file) if is_recording(file) else _lines(file)


def made_events(bundle: Bundle, count: int) -> Iterator[Event]:
    """Events that no two are the same, of the values that the rules look for.

    They lead to far more rules than a device's day does: a hard stream, not a likely one. The same
    bundle gives the same events.
    """
    by_category: dict[str, list[dict[str, str]]] = {}
    for rule in bundle.rules:
        try:
            found = witness(rule.condition)
        except RuleError:
            found = None
        if found is not None:
            by_category.setdefault(rule.category, []).append(found)
    draw = random.Random(_SEED)  # noqa: S311 (a stream that must come out the same, no secret)
    categories = [category for category, found in by_category.items() for _ in found]
    for number in range(count if categories else 0):
        category = draw.choice(categories)
        yield category, _mixed(by_category[category], draw, number)


def _mixed(found: Sequence[dict[str, str]], draw: random.Random, number: int) -> dict[str, str]:
    """The fields of one event with some values of others, each with something new in it."""
    fields = dict(draw.choice(found))
    for name in fields:
        other = draw.choice(found).get(name)
        if other is not None and draw.random() < 0.5:  # noqa: PLR2004 (every other one)
            fields[name] = other
    for name in _FREE_TEXT:
        if name in fields:
            fields[name] = f"{number} {fields[name]} {number}"
    return fields


def _lines(file: Path) -> Iterator[Event]:
    with file.open(encoding="utf-8", errors="surrogateescape") as stream:
        for number in range(1, 1 << 62):
            line = stream.readline(MAX_LINE_CHARS + 1)
            if not line:
                return
            if len(line) > MAX_LINE_CHARS:
                _refuse(file, number, f"at most {MAX_LINE_CHARS} characters")
            if line.strip():
                yield _event(file, number, line)


def _event(file: Path, number: int, line: str) -> Event:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        _refuse(file, number, f"a recording or one JSON object a line: {error}")
    if not isinstance(found, dict) or not all(isinstance(it, str) for it in found.values()):
        _refuse(file, number, "an object with a text for each field")
    category = found.pop("category", None)
    if category is None:
        _refuse(file, number, 'a field named "category"')
    return category, found


def _refuse(file: Path, number: int, wanted: str) -> NoReturn:
    raise RuleError(f"{file}:{number}:1: expected {wanted}")


def bounded(events: Iterator[Event], count: int) -> Sequence[Event]:
    """The first so many, in memory.

    Raises:
        RuleError: there is none, or the first ones are damaged.
    """
    try:
        found = list(islice(events, count))
    except ParseError as error:
        raise RuleError(f"expected a whole recording: {error}") from error
    if not found:
        raise RuleError("expected at least one event to try the rules on, found none")
    return found
