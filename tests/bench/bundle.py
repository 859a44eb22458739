"""What a bundle of rules costs: bytes, time to load, and memory, by number of rules.

Rule: a process of its own reads the bundle and indexes it as the sentinel does; memory is what it
has grown by (Anonymous).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench._agent import memory_mb
from tests.bench.figure import Figure, figure
from tests.simulators.rule_scale import at_hand, scaled

from vedette.codec import bundle as codec
from vedette.core.engine import Engine
from vedette.daemon import collector
from vedette.model.rule import Bundle

ROOT = Path(__file__).parents[2]
RUNS = 3
SIZES = (210, 1500, 5000)


def figures() -> Iterator[Figure]:
    """Bytes, load time and memory."""
    name, rules = at_hand()
    for size in SIZES:
        data = codec.encode(Bundle("bench", 1, 0, 0, scaled(rules, size), (), ""))
        runs = [_in_a_process(data) for _ in range(RUNS)]
        label = f"bundle, {size} rules"
        yield figure(f"{label}: size", [len(data) / 1024], "KiB", None, f"before signing; {name}")
        loads_ms = [run["decode_ms"] + run["index_ms"] for run in runs]
        yield figure(f"{label}: decode and index", loads_ms, "ms")
        yield figure(f"{label}: memory", [run["mb"] for run in runs], "MB", None, "rules and index")


def _in_a_process(data: bytes) -> dict[str, float]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        command = (sys.executable, "-m", "tests.bench.bundle", file.name)
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _measure(path: Path) -> dict[str, float]:
    data = path.read_bytes()
    before_mb = memory_mb(os.getpid())["Anonymous"]
    with collector.paused():
        began_s = time.process_time()
        bundle = codec.decode(data)
        decoded_s = time.process_time()
        engine = Engine(bundle)
        indexed_s = time.process_time()
    grown_mb = memory_mb(os.getpid())["Anonymous"] - before_mb
    if engine.refused:
        raise RuntimeError(f"expected rules that run, got {engine.refused}")
    return {
        "decode_ms": (decoded_s - began_s) * 1000,
        "index_ms": (indexed_s - decoded_s) * 1000,
        "mb": grown_mb,
    }


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]))))
