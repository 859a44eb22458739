"""What correlations cost: events a second, and bytes for each open window, at 50,000 groups.

Rule: memory is what a process of its own has grown by (Anonymous), beside what the correlator
believes; the flood is a million groups under the bound that the agent has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench._agent import memory_mb
from tests.bench.figure import Figure, figure

from vedette.core.correlation import MAX_BYTES, Correlator
from vedette.model.finding import Severity
from vedette.model.rule import Correlation, CorrelationKind, Threshold

ROOT = Path(__file__).parents[2]
RUNS = 3
GROUPS = 50_000
HITS = 4
FLOOD = 1_000_000
QUICK_FLOOD = 100_000
KINDS: tuple[CorrelationKind, ...] = ("event_count", "value_count", "temporal", "temporal_ordered")


def figures(*, is_quick: bool) -> Iterator[Figure]:
    """Each kind at 50,000 groups, then a flood."""
    for kind in KINDS:
        runs = [_in_a_process(kind, "groups") for _ in range(1 if is_quick else RUNS)]
        label = f"correlation, {kind}, {GROUPS} groups"
        yield figure(f"{label}: events a second", [run["per_s"] for run in runs], "1/s")
        believed = runs[0]["believed"]
        note = "beside what the correlator counts for it"
        values = [run["bytes"] for run in runs]
        yield figure(f"{label}: memory of an open window", values, "B", believed, note)
    flood = _in_a_process("event_count", "flood", QUICK_FLOOD if is_quick else FLOOD)
    label = f"correlation, {flood['groups']:.0f} groups of an attacker"
    note = "beside the bound"
    yield figure(f"{label}: memory", [flood["mb"]], "MB", MAX_BYTES / 2**20, note)
    yield figure(f"{label}: events a second", [flood["per_s"]], "1/s")


def _in_a_process(*arguments: object) -> dict[str, float]:
    command = (sys.executable, "-m", "tests.bench.correlation", *map(str, arguments))
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _correlation(kind: CorrelationKind) -> Correlation:
    rules = ("a", "b") if kind.startswith("temporal") else ("a",)
    return Correlation(
        rule_id="c",
        title="",
        author="",
        severity=Severity.HIGH,
        tags=(),
        kind=kind,
        rules=rules,
        group_by=("SourceIp",),
        timespan_s=3600,
        thresholds=(Threshold("gte", 10),),
        value_fields=("User",) if kind == "value_count" else (),
    )


def _groups(kind: CorrelationKind) -> dict[str, float]:
    correlator = Correlator([_correlation(kind)], max_bytes=1 << 30)
    before_mb = memory_mb(os.getpid())["Anonymous"]
    began_s = time.process_time()
    for n in range(GROUPS * HITS):
        rule_id = "b" if kind.startswith("temporal") and n >= GROUPS else "a"
        group = n % GROUPS
        fields = {"SourceIp": f"10.{group >> 16}.{group >> 8 & 255}.{group & 255}", "User": str(n)}
        correlator.observe(rule_id, n / 1000, "audit", fields)
    taken_s = time.process_time() - began_s
    grown_mb = memory_mb(os.getpid())["Anonymous"] - before_mb
    counters = correlator.counters()
    if counters["groups"] != GROUPS or counters["evicted"]:
        raise RuntimeError(f"expected {GROUPS} open groups, got {counters}")
    return {
        "per_s": GROUPS * HITS / taken_s,
        "bytes": grown_mb * 2**20 / GROUPS,
        "believed": counters["bytes"] / GROUPS,
    }


def _flood(groups: int) -> dict[str, float]:
    correlator = Correlator([_correlation("event_count")])
    before_mb = memory_mb(os.getpid())["Anonymous"]
    began_s = time.process_time()
    for n in range(groups):
        correlator.observe("a", n / 10_000, "audit", {"SourceIp": f"2001:db8::{n:x}"})
    taken_s = time.process_time() - began_s
    grown_mb = memory_mb(os.getpid())["Anonymous"] - before_mb
    counters = correlator.counters()
    if counters["groups"] + counters["evicted"] != groups:
        raise RuntimeError(f"expected every group open or counted as evicted, got {counters}")
    return {"per_s": groups / taken_s, "mb": grown_mb, "groups": groups}


def _main(kind: str, what: str, *rest: str) -> None:
    known = next(name for name in KINDS if name == kind)
    print(json.dumps(_groups(known) if what == "groups" else _flood(int(rest[0]))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
