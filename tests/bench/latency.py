"""From an exec to the broker: the sync to disk included, a bare sync of the same disk beside it.

Rule 1: an exec's time is taken by the process itself, immediately before execve(2).
Rule 2: the end is the arrival at a verifying subscriber, which is later than the PUBACK: the
figures are upper bounds.
Rule 3: the tier's own delay (kauditd hands records on when it is scheduled, the sensor waits for a
batch) is read from the agent's recording of the same run and shown by itself.
Rule 4: each exec is an orphan, so that each is an incident of its own; of one rule there are at
most EXECS_PER_RULE, since the core joins what begins more often within a minute.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import shutil
import statistics
import struct
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.bench._agent import REPOSITORY, await_calm, running_agent
from tests.bench.figure import Figure, figure

from vedette.core.engine import Engine
from vedette.core.inputs import Observed
from vedette.core.recording import decode
from vedette.errors import DeviceError, ParseError
from vedette.model.event import ProcessStarted
from vedette.model.rule import Bundle, Rule
from vedette_dev.attack import load_rules
from vedette_dev.player import Arrival, Arrivals
from vedette_dev.reader import Reader
from vedette_dev.stage import wanted as wanted_matches

EXECS_PER_RULE = 30
RULES = 7
PAUSE_S = 0.05
WAIT_S = 10.0
ENTRY_BYTES = 16 * 1024
"""SQLite writes 15.5 KB for an entry of 800 bytes (DESIGN section 11)."""
BUDGET_MS = {"p50": 5.0, "p99": 20.0}


def figures(*, is_quick: bool) -> Iterator[Figure]:
    per_rule = 6 if is_quick else EXECS_PER_RULE
    arrivals = Arrivals()
    with (
        running_agent(is_recorded=True) as session,
        Reader(session.running, arrivals.add) as reader,
        tempfile.TemporaryDirectory(dir=REPOSITORY / "build") as folder,
    ):
        reader.await_device()
        await_calm(session)
        delays, syncs = [], []
        began: dict[str, float] = {}
        for name in _names(load_rules(session.running), Path(folder)):
            program = Path(shutil.copy("/bin/true", Path(folder) / name))
            for number in range(per_rule):
                token = f"latency-{os.getpid()}-{name}-{number}"
                seen = len(arrivals)
                began_s = _run_orphan(program, token)
                arrival = arrivals.wait_for(
                    functools.partial(_has, token=token), WAIT_S, since=seen
                )
                if arrival is None:
                    raise DeviceError(
                        f"run {number + 1} of {program} was not reported within {WAIT_S:g} s"
                    )
                began[token] = began_s
                delays.append((arrival.at_s - began_s) * 1000)
                syncs.append(_sync_ms(session.running.config.parent))
                time.sleep(PAUSE_S)
        tiers = _tier_delays(session.running.config.parents[1] / "watch.vrec", began)
    sync = statistics.median(syncs)
    own = [total - tier - sync for total, tier in zip(delays, tiers, strict=True)]
    yield figure("bare fsync of 16 KB, same disk and run: p50", [sync], "ms")
    for name, pick in (("p50", statistics.median), ("p99", _p99)):
        yield figure(f"exec to broker: {name}", [pick(delays)], "ms", sync, "bare fsync")
        yield figure(f"the tier's own delay: {name}", [pick(tiers)], "ms")
        yield figure(
            f"exec to broker, beyond one fsync and the tier's delay: {name}",
            [pick(own)], "ms", BUDGET_MS[name], "budget",
        )  # fmt: skip


def _tier_delays(recording: Path, began: Mapping[str, float]) -> list[float]:
    """Milliseconds from each exec to the moment the core was told of it, in their order."""
    offset_s = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    told: dict[str, float] = {}
    _, inputs = decode(recording.read_bytes())
    with contextlib.suppress(ParseError):  # the agent still writes: the last input may be cut
        for given in inputs:
            if isinstance(given, Observed):
                for event in given.events:
                    if isinstance(event, ProcessStarted):
                        told.setdefault(event.command_line.rpartition(" ")[2], given.at_s)
    return [(told[token] - offset_s - began_s) * 1000 for token, began_s in began.items()]


def _names(rules: Sequence[Rule], folder: Path) -> list[str]:
    """Names under which a program meets exactly one rule that is told, each another one."""
    engine = Engine(Bundle("bench", 1, 0, 1, tuple(rules), (), ""))
    wanted = (
        match.value.lstrip("/")
        for rule in rules
        if rule.category == "process_creation"
        for match in wanted_matches(rule.condition)
        if match.field == "Image" and match.operator == "endswith"
    )
    found: dict[str, str] = {}
    for name in wanted:
        image = str(folder / name)
        fields = {"Image": image, "Argv0": image, "CommandLine": f"{image} latency-0"}
        matched = engine.match("process_creation", fields)
        if name.isidentifier() and len(matched) == 1 and matched[0].is_reported:
            found.setdefault(matched[0].rule_id, name)
    if len(found) < RULES:
        raise DeviceError(f"expected {RULES} rules that a program's name fires, got {len(found)}")
    return list(found.values())[:RULES]


def _run_orphan(program: Path, token: str) -> float:
    """Run a program as a child of init; returns the moment before its execve."""
    with mmap.mmap(-1, 8) as shared:
        child = os.fork()
        if child == 0:
            _become_orphan(program, token, shared)
        os.waitpid(child, 0)
        ends_s = time.monotonic() + WAIT_S
        while (began_s := struct.unpack("d", shared[:8])[0]) == 0.0:
            if time.monotonic() > ends_s:
                raise DeviceError(f"{program} was not run within {WAIT_S:g} s")
            time.sleep(0.0005)
        return float(began_s)


def _become_orphan(program: Path, token: str, shared: mmap.mmap) -> None:
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        parent = os.getppid()
        while os.getppid() == parent and parent != 1:
            time.sleep(0.0002)
        shared[:8] = struct.pack("d", time.monotonic())
        os.execv(program, [str(program), token])  # noqa: S606 (no shell is wanted)
    finally:
        os._exit(1)


def _has(arrival: Arrival, token: str) -> bool:
    return f"{token}'" in f"{arrival.incident}" or f"{token} " in f"{arrival.incident}"


def _sync_ms(folder: Path) -> float:
    with tempfile.TemporaryFile(dir=folder) as stream:
        stream.write(os.urandom(ENTRY_BYTES))
        stream.flush()
        began_s = time.perf_counter()
        os.fsync(stream.fileno())
        return (time.perf_counter() - began_s) * 1000


def _p99(values: list[float]) -> float:
    return sorted(values)[max(0, round(len(values) * 0.99) - 1)]
