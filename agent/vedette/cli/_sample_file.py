"""Reads NAME.match.yml and NAME.nomatch.yml: events, and sequences of events for correlations.

Rule 1: a file is a list. An item is one event (a mapping of field to value; `category` where it is
not the rule's own) or a sequence: a list of events, or a mapping with `events` and, if wanted,
`name` and `rule` (id, name or title of the one it is for).
Rule 2: in a sequence an event has `at`, the time since its beginning (30, 30s, 5m, 2h, 1d; that of
the event before when it says none); `times: N` repeats it, `every` so many seconds (default 1), and
{n} in its values is the number of the repetition, from 1.
Rule 3: all that cannot be used is refused with file, line and column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from vedette.cli._sigma_document import parse
from vedette.errors import RuleError

KINDS = (("match", True), ("nomatch", False))
"""What stands in the name of a file of samples, and whether these must match."""

MAX_EVENTS = 20_000
"""Ours: of one sequence, repetitions counted."""

_CONTROL = ("category", "at", "times", "every")
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhd]?)")
_UNIT_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DEFAULT_EVERY_S = 1.0


class SampleEvent(NamedTuple):
    """One event; `category` is "" where the file does not say."""

    line: int
    category: str
    at_s: float
    fields: Mapping[str, str]


class Sample(NamedTuple):
    """One item of a file of samples; `rule` is "" where it is for the only one there is."""

    file: Path
    line: int
    name: str
    rule: str
    is_sequence: bool
    events: tuple[SampleEvent, ...]

    @property
    def place(self) -> str:
        """file:line, for people."""
        return f"{self.file}:{self.line}"


def sample_files(rule_file: Path) -> Iterator[tuple[Path, bool]]:
    """The files of samples that stand beside a rule, and whether these must match."""
    for kind, is_wanted in KINDS:
        file = rule_file.with_suffix(f".{kind}.yml")
        if file.exists():
            yield file, is_wanted


def read_samples(file: Path) -> list[Sample]:
    """Read a file of samples.

    Raises:
        RuleError: it cannot be used; the message names file, line and column.
        DeviceError: PyYAML is not installed.
    """
    found: list[Sample] = []
    for node, values in parse(file):
        if not isinstance(values, list):
            _refuse(file, node, f"expected a list of samples, got {type(values).__name__}")
        for child, value in zip(node.value, values, strict=True):
            found.append(_sample(file, child, value))
    return found


def _sample(file: Path, node: Any, value: Any) -> Sample:
    line = node.start_mark.line + 1
    if isinstance(value, list):
        return Sample(file, line, "", "", is_sequence=True, events=_sequence(file, node, value))
    if not isinstance(value, dict) or not value:
        _refuse(file, node, "expected an event (field: value) or a sequence of events")
    if "events" not in value:
        event = _event(file, node, value)
        if event.times != 1:
            _refuse(file, node, "expected `times` in a sequence, got it in a single event")
        return Sample(file, line, "", "", is_sequence=False, events=(event.first,))
    inner = next(child for name, child in node.value if str(name.value) == "events")
    if not isinstance(value["events"], list):
        _refuse(file, inner, f"expected a list of events, got {type(value['events']).__name__}")
    unknown = [name for name in value if name not in ("events", "name", "rule")]
    if unknown:
        _refuse(file, node, f"expected events, name and rule, got {unknown[0]!r}")
    events = _sequence(file, inner, value["events"])
    name, rule = (str(value.get(word) or "") for word in ("name", "rule"))
    return Sample(file, line, name, rule, is_sequence=True, events=events)


class _Repeated(NamedTuple):
    first: SampleEvent
    is_timed: bool
    times: int
    every_s: float


def _sequence(file: Path, node: Any, values: list[Any]) -> tuple[SampleEvent, ...]:
    events: list[SampleEvent] = []
    now_s = 0.0
    for child, value in zip(node.value, values, strict=True):
        if not isinstance(value, dict):
            _refuse(file, child, f"expected an event (field: value), got {type(value).__name__}")
        repeated = _event(file, child, value)
        if len(events) + repeated.times > MAX_EVENTS:
            _refuse(file, child, f"expected at most {MAX_EVENTS} events in a sequence")
        start_s = repeated.first.at_s if repeated.is_timed else now_s
        if start_s < now_s:
            _refuse(file, child, f"expected events in the order of time, got {start_s:g} s after "
                                 f"{now_s:g} s")  # fmt: skip
        for number in range(repeated.times):
            now_s = start_s + number * repeated.every_s
            events.append(_numbered(repeated.first, number + 1, now_s))
    if not events:
        _refuse(file, node, "expected at least one event in a sequence")
    return tuple(events)


def _numbered(event: SampleEvent, number: int, at_s: float) -> SampleEvent:
    fields = {name: value.replace("{n}", str(number)) for name, value in event.fields.items()}
    return event._replace(at_s=at_s, fields=fields)


def _event(file: Path, node: Any, value: dict[Any, Any]) -> _Repeated:
    places = {str(name.value): child for name, child in node.value}
    if not all(isinstance(name, str) for name in value):
        _refuse(file, node, "expected names of fields, got a number, date or nothing as a key")
    fields = {
        name: _text(file, places.get(name, node), held)
        for name, held in value.items()
        if name not in _CONTROL
    }
    times = value.get("times", 1)
    if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= MAX_EVENTS:
        _refuse(file, places["times"], f"expected times from 1 to {MAX_EVENTS}, got {times!r}")
    first = SampleEvent(
        node.start_mark.line + 1,
        str(value.get("category") or ""),
        _seconds(file, places.get("at", node), value.get("at", 0)),
        fields,
    )
    every_s = _seconds(file, places.get("every", node), value.get("every", _DEFAULT_EVERY_S))
    return _Repeated(first, "at" in value, times, every_s)


def _seconds(file: Path, node: Any, value: object) -> float:
    found = None if isinstance(value, bool) else _TIME.fullmatch(str(value).strip())
    if found is None:
        _refuse(file, node, f"expected a time such as 30, 30s, 5m or 2h, got {value!r}")
    return float(found[1]) * _UNIT_S[found[2]]


def _text(file: Path, node: Any, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    return _refuse(file, node, f"expected text or a number as value, got {value!r:.60}")


def _refuse(file: Path, node: Any, message: str) -> NoReturn:
    mark = node.start_mark
    raise RuleError(f"{file}:{mark.line + 1}:{mark.column + 1}: {message}")
