"""What the resident agent costs: memory idle and after storms, all else while nothing happens."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from tests.bench._agent import Usage, await_calm, memory_mb, parts, running_agent, usage
from tests.bench.figure import Figure, figure

BUDGET_PSS_MB = 42.0
BUDGET_GROWTH_MB = 1.0
BUDGET_CPU_PERCENT = 0.1
BUDGET_WAKEUPS = 1.0
BUDGET_WRITTEN_MB = 1.0
IDLE_S = 300.0
STORMS = 10
EXECS = 2000
DAY_S = 86400.0


def figures(*, is_quick: bool) -> Iterator[Figure]:
    with running_agent() as session:
        await_calm(session)
        pids = parts(session)
        before = {name: memory_mb(pid) for name, pid in pids.items()}
        for name, found in before.items():
            for kind, value in found.items():
                yield figure(f"memory idle, {name}: {kind}", [value], "MB")
        idle_pss = sum(found["Pss"] for found in before.values())
        yield figure("memory idle, together: Pss", [idle_pss], "MB", BUDGET_PSS_MB, "budget")
        yield from _idle(pids, IDLE_S / 10 if is_quick else IDLE_S)
        for _ in range(2 if is_quick else STORMS):
            _storm()
        await_calm(session)
        after = sum(memory_mb(pid)["Pss"] for pid in pids.values())
        yield figure("memory after storms, together: Pss", [after], "MB", BUDGET_PSS_MB, "budget")
        growth = after - idle_pss
        yield figure("memory growth over storms", [growth], "MB", BUDGET_GROWTH_MB, "budget")


def _idle(pids: dict[str, int], seconds: float) -> Iterator[Figure]:
    began_s = time.monotonic()
    before = [usage(pid) for pid in pids.values()]
    time.sleep(seconds)
    lasted_s = time.monotonic() - began_s
    after = [usage(pid) for pid in pids.values()]
    spent = Usage(*(sum(a) - sum(b) for a, b in zip(zip(*after), zip(*before))))  # noqa: B905
    cpu = 100 * spent.cpu_s / lasted_s
    yield figure("idle: CPU", [cpu], "% of a core", BUDGET_CPU_PERCENT, "budget")
    wakeups = spent.wakeups / lasted_s
    yield figure("idle: wake-ups", [wakeups], "a second", BUDGET_WAKEUPS, "budget")
    written = spent.bytes_written / lasted_s * DAY_S / 2**20
    yield figure("idle: written to disk", [written], "MB a day", BUDGET_WRITTEN_MB, "budget")


def _storm() -> None:
    loop = f"i=0; while [ $i -lt {EXECS} ]; do /bin/true; i=$((i+1)); done"
    subprocess.run(["sh", "-c", loop], check=True)
