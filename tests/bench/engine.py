"""What one event costs the engine: by stream and number of rules, beside asking every rule.

Rule 1: the linear engine is one compiled function per rule, asked in turn: what the index saves.
Rule 2: every stream is judged by both first, and a difference ends the measurement.
"""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench.figure import Figure, figure
from tests.simulators.device_stream import Event, process_events

from vedette.cli._rule_folder import collect
from vedette.codec import bundle as codec
from vedette.core.condition import compile_condition, view
from vedette.core.engine import Engine
from vedette.model.rule import Bundle, Rule

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpora" / "sigma-linux"
RUNS = 5
EVENTS = 20_000
HOSTILE_EVENTS = 400
HOSTILE_CHARS = 4096
BUDGET_NEW_US = 12.0
"""DESIGN section 11, at 210 rules."""


def figures() -> Iterator[Figure]:
    """The engine at our rules and at the 210 Linux rules of SigmaHQ, where these are at hand."""
    sources = {"our rules": ROOT / "rules", "SigmaHQ's Linux rules": CORPUS}
    for name, folder in sources.items():
        if not folder.exists():
            continue
        rules = collect([folder]).bundle("corpus", 0, 0, 0).rules
        yield from _of_rules(f"{len(rules)} rules ({name})", rules)


def _of_rules(label: str, rules: tuple[Rule, ...]) -> Iterator[Figure]:
    bundle = Bundle("bench", 1, 0, 0, rules, (), "")
    data = codec.encode(bundle)
    streams = {
        "device's day, most events repeat": list(process_events(EVENTS, seed=1)),
        "every event new": list(_all_new(EVENTS // 4)),
        "hostile command lines of 4 KB": list(_hostile(HOSTILE_EVENTS)),
    }
    for stream, events in streams.items():
        linear = _linear(rules)
        _compare(Engine(bundle), linear, events)
        baseline = _median_us(linear, events[:HOSTILE_EVENTS])
        values = [_us_per_event(Engine(bundle).match, events) for _ in range(RUNS)]
        yield figure(
            f"engine, {label}, {stream}: per event",
            values,
            "us",
            baseline,
            "beside every rule asked in turn",
        )
    repeated = [streams["every event new"][0]] * EVENTS
    yield figure(
        f"engine, {label}, one event repeated: per event",
        [_us_per_event(Engine(bundle).match, repeated) for _ in range(RUNS)],
        "us",
        1.0,
        "beside the budget",
    )
    yield figure(f"bundle, {label}: size", [len(data) / 1024], "KiB", None, "before signing")
    yield figure(f"bundle, {label}: decode and index", _load_ms(data), "ms", None, "")


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
    for category, fields in list(events)[:1000]:
        if engine.match(category, fields) != linear(category, fields):
            raise RuntimeError(f"expected the same rules from index and linear engine: {fields}")


def _median_us(match: Match, events: Sequence[Event]) -> float:
    return sorted(_us_per_event(match, events) for _ in range(3))[1]


def _us_per_event(match: Match, events: Sequence[Event]) -> float:
    began_s = time.process_time()
    for category, fields in events:
        match(category, fields)
    return (time.process_time() - began_s) / len(events) * 1e6


def _load_ms(data: bytes) -> list[float]:
    taken_ms: list[float] = []
    for _ in range(RUNS):
        began_s = time.process_time()
        Engine(codec.decode(data))
        taken_ms.append((time.process_time() - began_s) * 1000)
    return taken_ms
