"""Sensors alone in a storm of executions: what each sees, misses, admits to miss, and costs.

Rule 1: the sensor runs in a process of its own (_storm_watcher), so that its CPU is only its own.
Rule 2: two programs: /bin/true, and a static one that ends in microseconds (a dropper's speed).
Rule 3: eBPF is measured with the whole core behind it too: every event judged by 210 rules, and by
5,000 that are made of them.
Rule 4: "uncovered" is what neither was seen nor counted as lost; it has to be 0.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.bench.figure import Figure, figure
from tests.simulators.rule_scale import at_hand, scaled

from vedette.codec import bundle as bundle_codec
from vedette.errors import DeviceError
from vedette.model.rule import Bundle

SOURCE = Path(__file__).with_name("storm.c")
AT_ONCE = 4
STALL_S = 2.0
BUDGET_CPU_US = {"audit": 90.0, "ebpf": 50.0}
TIERS = (("ebpf",), ("audit",), ("proc_connector",), ("proc_connector", "realtime"))
STALLED: dict[tuple[str, ...], tuple[str, ...]] = {("ebpf",): ("ebpf", "ring_kb=4096")}
"""What a tier is given for the stall, where that is not what it has by default."""
PLACES = (Path("/opt"), Path("/usr/local/lib"))
RULES = (210, 5000)
"""The second may cost 1.3 times the first (issue B)."""
ANSWER_TIMEOUT_S = 40.0

_EXIT_AT_ONCE = {
    "x86_64": "mov $60,%eax; xor %edi,%edi; syscall",
    "aarch64": "mov x8,#93; mov x0,#0; svc #0",
    "armv7l": "mov r7,#1; mov r0,#0; svc #0",
}
"""exit(0) without a library."""


class Programs(NamedTuple):
    """What was built for the measurement."""

    storm: Path
    targets: dict[str, Path]


class Watcher:
    """The other end of _storm_watcher; use as a context manager.

    Raises:
        DeviceError: the sensor cannot watch here.
    """

    def __init__(self, tier: tuple[str, ...], bundle: str = "-") -> None:
        self.word = f"storm-{secrets.token_hex(6)}"
        arguments = [tier[0], self.word, bundle, *tier[1:]]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench._storm_watcher", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.communicate(timeout=ANSWER_TIMEOUT_S)

    def ask(self, command: str) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """The process stands still meanwhile."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        said: dict[str, Any] = json.loads(line) if line else {"error": "it ended"}
        if "error" in said:
            self._process.communicate(timeout=ANSWER_TIMEOUT_S)
            raise DeviceError(f"the sensor cannot be measured: {said['error']}")
        return said


def figures(*, is_quick: bool) -> Iterator[Figure]:
    """All tiers, both programs; then a stalled consumer, and a stopped process."""
    count = 2_000 if is_quick else 20_000
    with tempfile.TemporaryDirectory(dir=_place()) as folder:
        programs = build(Path(folder))
        for tier in TIERS:
            try:
                for target in programs.targets:
                    yield from _storm(programs, tier, target, count)
                yield from _stalled(programs, tier, count)
            except DeviceError as error:
                print(f"# {' '.join(tier)}: {error}", file=sys.stderr)
        yield from _judged(programs, Path(folder), count)
        yield from _stopped(programs, 3.0 if is_quick else 30.0)


def _place() -> Path | None:
    """Where programs may stand without a rule that asks about it: a hit each would be measured."""
    return next((place for place in PLACES if os.access(place, os.W_OK)), None)


def build(folder: Path) -> Programs:
    """Compile the storm and the tiny program.

    Raises:
        DeviceError: there is no C compiler.
    """
    if shutil.which("gcc") is None:
        raise DeviceError("expected gcc to build the storm, found none; install gcc")
    storm, tiny = folder / "storm", folder / "tiny"
    _gcc("-O2", "-o", str(storm), str(SOURCE))
    targets = {"/bin/true": Path("/bin/true")}
    exit_at_once = _EXIT_AT_ONCE.get(os.uname().machine)
    if exit_at_once is not None:
        assembly = folder / "tiny.s"
        assembly.write_text(f".globl _start\n_start: {exit_at_once}\n")
        _gcc("-nostdlib", "-static", "-o", str(tiny), str(assembly))
        targets["tiny static"] = tiny
    return Programs(storm, targets)


def run_storm(programs: Programs, target: str, count: int, word: str) -> float:
    """Start a program `count` times; returns seconds."""
    argv = [str(programs.storm), str(count), str(AT_ONCE), str(programs.targets[target]), word]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=True, cwd=programs.storm.parent
    )
    return float(done.stdout)


def _storm(programs: Programs, tier: tuple[str, ...], target: str, count: int) -> Iterator[Figure]:
    name = f"exec storm, {' '.join(tier)}, {target}"
    bare_s = run_storm(programs, target, count, "bare")
    with Watcher(tier) as watcher:
        watcher.ask("begin")
        watched_s = run_storm(programs, target, count, watcher.word)
        got = watcher.ask("report")
    total = count + 1  # the storm's own execution carries the word too
    budget = BUDGET_CPU_US.get(tier[0])
    note = "budget" if budget else "without the real-time reader's" if tier[1:] else ""
    yield figure(f"{name}: seen", [min(got["seen"], total)], "execs", total)
    yield figure(f"{name}: with argv", [got["with_argv"]], "execs", total)
    yield figure(f"{name}: lost and counted", [got["lost"]], "execs")
    yield figure(f"{name}: uncovered", [_uncovered(got, total)], "execs")
    yield figure(f"{name}: CPU per exec", [got["cpu_s"] / count * 1e6], "us", budget, note)
    yield figure(f"{name}: storm", [watched_s], "s", bare_s, "the same storm unwatched")


def _judged(programs: Programs, folder: Path, count: int) -> Iterator[Figure]:
    """The whole way from the kernel to the verdict, every event judged."""
    _, rules = at_hand()
    bundle = folder / "bundle"
    for target in programs.targets:
        few_us = 0.0
        for amount in RULES:
            kept = scaled(rules, amount)
            bundle.write_bytes(bundle_codec.encode(Bundle("bench", 1, 0, 0, kept, (), "")))
            try:
                got = _watched(programs, ("ebpf",), target, count, str(bundle))
            except DeviceError as error:
                print(f"# ebpf with rules: {error}", file=sys.stderr)
                return
            name = f"exec storm, ebpf and {amount:,} rules, {target}"
            cost_us = got["cpu_s"] / count * 1e6
            beside = (few_us, f"{RULES[0]} rules") if few_us else (BUDGET_CPU_US["ebpf"], "budget")
            yield figure(f"{name}: with argv", [got["with_argv"]], "execs", count + 1)
            yield figure(f"{name}: lost and counted", [got["lost"]], "execs")
            yield figure(f"{name}: CPU per exec", [cost_us], "us", *beside)
            few_us = few_us or cost_us


def _watched(
    programs: Programs, tier: tuple[str, ...], target: str, count: int, bundle: str
) -> dict[str, Any]:
    with Watcher(tier, bundle) as watcher:
        watcher.ask("begin")
        run_storm(programs, target, count, watcher.word)
        return watcher.ask("report")


def _stalled(programs: Programs, tier: tuple[str, ...], count: int) -> Iterator[Figure]:
    tier = STALLED.get(tier, tier)
    name = f"exec storm, {' '.join(tier)}, consumer stalled {STALL_S:g} s"
    target = list(programs.targets)[-1]
    with Watcher(tier) as watcher:
        watcher.ask("begin")
        watcher.ask(f"stall {STALL_S}")
        run_storm(programs, target, count, watcher.word)
        got = watcher.ask("report")
    total = count + 1
    yield figure(f"{name}: seen", [min(got["seen"], total)], "execs", total)
    yield figure(f"{name}: lost and counted", [got["lost"]], "execs")
    yield figure(f"{name}: uncovered", [_uncovered(got, total)], "execs")


def _stopped(programs: Programs, seconds: float) -> Iterator[Figure]:
    """Audit is the one tier whose kernel half could wait for its reader."""
    slice_execs = 500
    target = list(programs.targets)[-1]
    bare = [run_storm(programs, target, slice_execs, "bare") for _ in range(10)]
    slices: list[float] = []
    with Watcher(("audit",)) as watcher:
        watcher.ask("begin")
        with watcher.stopped():
            end_s = time.monotonic() + seconds
            while time.monotonic() < end_s:
                slices.append(run_storm(programs, target, slice_execs, watcher.word))
        got = watcher.ask("report")
    total = len(slices) * (slice_execs + 1)
    name = f"exec storm, audit, process stopped {seconds:g} s"
    each, unwatched = ([found / slice_execs * 1e6 for found in times] for times in (slices, bare))
    middle, ninety_ninth = statistics.median(each), sorted(each)[int(len(each) * 0.99)]
    baseline = statistics.median(unwatched)
    yield figure(f"{name}: exec", [middle], "us", baseline, "unwatched")
    yield figure(f"{name}: exec, p99 of slices of {slice_execs}", [ninety_ninth], "us", baseline)
    yield figure(f"{name}: seen", [min(got["seen"], total)], "execs", total)
    yield figure(f"{name}: lost and counted", [got["lost"]], "execs")
    yield figure(f"{name}: uncovered", [_uncovered(got, total)], "execs")


def _uncovered(got: dict[str, Any], total: int) -> float:
    return max(0.0, float(total - got["seen"] - got["lost"]))


def _gcc(*arguments: str) -> None:
    made = subprocess.run(["gcc", *arguments], capture_output=True, text=True, check=False)
    if made.returncode:
        raise DeviceError(f"gcc {' '.join(arguments)}: {made.stderr.strip()[:300]}")
