"""What one event costs the engine: by stream and number of rules, beside asking every rule.

Rule 1: the linear engine is one compiled function per rule, asked in turn: what the index saves.
Rule 2: every stream is judged by both first, and a difference ends the measurement.
Rule 3: rules are SigmaHQ's for Linux where they are at hand, else ours; beyond their number they
are rotated (tests/simulators/rule_scale.py).
"""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tests.bench.figure import Figure, figure
from tests.simulators.device_stream import Event, process_events
from tests.simulators.rule_scale import at_hand, scaled

from vedette.core.condition import compile_condition, view
from vedette.core.engine import Engine
from vedette.model.rule import Bundle, Rule

RUNS = 5
QUICK_RUNS = 2
SIZES = (50, 210, 500, 1500, 5000)
EVENTS = 20_000
NEW_EVENTS = 4_000
HOSTILE_EVENTS = 400
HOSTILE_CHARS = 4096
LINEAR_EVENTS = 200
"""Of a stream, for the linear engine: at 5,000 rules it takes milliseconds for each."""
COMPARED_EVENTS = 100

REPEATS = 0.97
DAY, NEW, HOSTILE, ONE = (
    "device's day, 97 % repeats",
    "every event new",
    "hostile lines of 4 KB",
    "one event repeated",
)
BUDGETS_US = {
    (NEW, 210): 12.0,
    (NEW, 1500): 25.0,
    (NEW, 5000): 45.0,
    (HOSTILE, 210): 150.0,
    **{(ONE, size): 1.0 for size in SIZES},
}
"""DESIGN section 11 and issue B."""


def figures(*, is_quick: bool) -> Iterator[Figure]:
    """Every stream at every number of rules."""
    name, rules = at_hand()
    streams = {
        DAY: list(_day(EVENTS)),
        NEW: list(_all_new(NEW_EVENTS)),
        HOSTILE: list(_hostile(HOSTILE_EVENTS)),
    }
    streams[ONE] = streams[NEW][:1] * EVENTS
    for size in SIZES:
        bundle = Bundle("bench", 1, 0, 0, scaled(rules, size), (), "")
        linear = _linear(bundle.rules)
        for stream, events in streams.items():
            _compare(Engine(bundle), linear, events[:COMPARED_EVENTS])
            beside_us = _us_per_event(linear, events[:LINEAR_EVENTS])
            runs = QUICK_RUNS if is_quick else RUNS
            values = [_us_per_event(Engine(bundle).match, events) for _ in range(runs)]
            note = f"beside every rule asked in turn; {name}"
            budget = BUDGETS_US.get((stream, size))
            if budget is not None:
                note += f"; budget {budget:g} us"
            yield figure(
                f"engine, {size} rules, {stream}: per event", values, "us", beside_us, note
            )


def _day(count: int) -> Iterator[Event]:
    """What a device does over and over, and now and then something new."""
    draw = random.Random(13)
    fresh = process_events(count, seed=1)
    seen: list[Event] = []
    for _ in range(count):
        if not seen or draw.random() >= REPEATS:
            seen.append(next(fresh))
            yield seen[-1]
        else:
            yield draw.choice(seen)


def _all_new(count: int) -> Iterator[Event]:
    """Executions whose command lines and parents' lines never come twice."""
    draw = random.Random(7)
    for category, fields in process_events(count, seed=2):
        word = "".join(draw.choices(string.ascii_lowercase + string.digits, k=12))
        line = f"{fields['CommandLine']} --id {word}"
        yield category, {**fields, "CommandLine": line, "ParentCommandLine": f"sh /opt/{word}"}


def _hostile(count: int) -> Iterator[Event]:
    """Long lines of what rules look for, each unlike the others."""
    draw = random.Random(11)
    alphabet = string.ascii_lowercase + " /-.|="
    words = ["/tmp/", "wget ", "base64 -d", "/dev/tcp/", "chmod +x", " -o ", "python -c", "nc -e"]
    for category, fields in process_events(count, seed=3):
        parts: list[str] = []
        while sum(map(len, parts)) < HOSTILE_CHARS:
            parts.append("".join(draw.choices(alphabet, k=draw.randrange(4, 40))))
            parts.append(draw.choice(words)[: draw.randrange(2, 10)])
        yield category, {**fields, "CommandLine": "".join(parts)[:HOSTILE_CHARS]}


Match = Callable[[str, Any], Sequence[Rule]]


def _linear(rules: Sequence[Rule]) -> Match:
    checks: dict[str, list[tuple[Any, Rule]]] = {}
    for rule in rules:
        checks.setdefault(rule.category, []).append((compile_condition(rule.condition), rule))

    def match(category: str, fields: Any) -> tuple[Rule, ...]:
        event = view(fields)
        return tuple(rule for check, rule in checks.get(category, ()) if check(event))

    return match


def _compare(engine: Engine, linear: Match, events: Iterable[Event]) -> None:
    for category, fields in events:
        if engine.match(category, fields) != linear(category, fields):
            raise RuntimeError(f"expected the same rules from index and linear engine: {fields}")


def _us_per_event(match: Match, events: Sequence[Event]) -> float:
    began_s = time.process_time()
    for category, fields in events:
        match(category, fields)
    return (time.process_time() - began_s) / len(events) * 1e6
