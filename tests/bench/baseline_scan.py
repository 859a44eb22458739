"""A baseline scan of /usr beside AIDE and beside plain SHA-256 over the same tree, all warm.

Each reads the same files in the same run, one after the other, at the same priority; the order is
scan, sha256sum, AIDE, after one scan that fills the page cache.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.figure import Figure, figure

from vedette.codec.scan_stream import Finished, Found
from vedette.model.baseline import ScanCounts
from vedette.sensors._scanner_process import ScannerProcess
from vedette.store.baseline import SqliteBaseline

TREE = "/usr"
QUICK_TREE = "/usr/bin"
RUNS = 3
AIDE_TIMEOUT_S = 900
AIDE_GROUP = "p+i+n+u+g+s+m+c+sha256"


class Cost(NamedTuple):
    """What one run took."""

    wall_s: float
    cpu_s: float


def figures(*, is_quick: bool) -> Iterator[Figure]:
    tree = QUICK_TREE if is_quick else TREE
    runs = 1 if is_quick else RUNS
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="vedette-bench-") as folder:
        state_dir = Path(folder)
        counts = _first_scan(tree)[1]
        scans = [_first_scan(tree) for _ in range(runs)]
        plain = min((_sha256sum(tree) for _ in range(runs)), key=lambda cost: cost.cpu_s)
        name = f"baseline scan of {tree} ({counts.files} files, {counts.hashed_bytes >> 20} MB)"
        wall = [cost.wall_s for cost, _ in scans]
        cpu = [cost.cpu_s for cost, _ in scans]
        yield figure(f"{name}, wall", wall, "s", plain.wall_s, "sha256sum of the same files")
        yield figure(f"{name}, CPU", cpu, "s", plain.cpu_s, "sha256sum of the same files")
        loop = _python_sha256(tree)
        note = "Python's hashlib over the same files, reading and hashing alone"
        yield figure(f"{name}, CPU beside a bare loop", cpu, "s", loop.cpu_s, note)
        aide = _aide(tree, state_dir)
        note = "aide --init" if aide else "aide is not installed: apt-get install aide"
        yield figure(f"{name}, wall beside AIDE", wall, "s", aide.wall_s if aide else None, note)
        yield figure(f"{name}, CPU beside AIDE", cpu, "s", aide.cpu_s if aide else None, note)
        again = [_second_scan(tree, state_dir) for _ in range(runs)]
        yield figure(f"{name} again, nothing changed, CPU", [c.cpu_s for c in again], "s")
        stored = _store_rate(tree, state_dir)
        yield Figure("baseline rows written", stored, "rows/s", note=f"{counts.files} rows at once")


def _first_scan(tree: str) -> tuple[Cost, ScanCounts]:
    """Every file read and hashed; records are counted and dropped."""
    counts = ScanCounts(0, 0, 0, 0, 0)
    before = _children_cpu_s()
    started_s = time.monotonic()
    for message in ScannerProcess((tree,), None).messages():
        if isinstance(message, Finished):
            counts = message.counts
    return Cost(time.monotonic() - started_s, _children_cpu_s() - before), counts


def _second_scan(tree: str, state_dir: Path) -> Cost:
    """A scan of a known tree, one file in 28 read again."""
    baseline = SqliteBaseline(state_dir)
    baseline.open()
    if baseline.is_empty():
        messages = ScannerProcess((tree,), None).messages()
        baseline.replace(m.record for m in messages if isinstance(m, Found))
    before = _children_cpu_s()
    started_s = time.monotonic()
    for _ in ScannerProcess((tree,), state_dir, turn=1, slices=28).messages():
        pass
    baseline.close()
    return Cost(time.monotonic() - started_s, _children_cpu_s() - before)


def _store_rate(tree: str, state_dir: Path) -> float:
    baseline = SqliteBaseline(state_dir)
    baseline.open()
    records = list(baseline.paths(tree))
    started_s = time.monotonic()
    baseline.replace(records)
    rate = len(records) / (time.monotonic() - started_s)
    baseline.close()
    return rate


def _sha256sum(tree: str) -> Cost:
    return _run(["find", tree, "-type", "f", "-exec", "sha256sum", "--", "{}", "+"])


PYTHON_LOOP = """
import hashlib, os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        if os.path.islink(path):
            continue
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        h = hashlib.sha256()
        while data := os.read(fd, 262144):
            h.update(data)
        os.close(fd)
        h.digest()
"""


def _python_sha256(tree: str) -> Cost:
    return _run([sys.executable, "-I", "-c", PYTHON_LOOP, tree])


def _aide(tree: str, folder: Path) -> Cost | None:
    program = shutil.which("aide")
    if program is None:
        return None
    settings = folder / "aide.conf"
    settings.write_text(
        f"database_in=file:{folder}/aide.in\ndatabase_out=file:{folder}/aide.out\n"
        f"gzip_dbout=no\nlog_level=error\nAll = {AIDE_GROUP}\n{tree} All\n"
    )
    return _run([program, "--config", str(settings), "--init"])


def _run(command: Sequence[str]) -> Cost:
    """At the scanner's own priority, so that others on the machine disturb both alike."""
    before = _children_cpu_s()
    started_s = time.monotonic()
    subprocess.run(
        ["nice", "-n", "19", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=AIDE_TIMEOUT_S,
        env={**os.environ, "LC_ALL": "C"},
    )
    return Cost(time.monotonic() - started_s, _children_cpu_s() - before)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
