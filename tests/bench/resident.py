"""What the resident agent costs: memory idle and after storms, all else while nothing happens.

Rule 1: memory is what keeper, sentinel and uplink hold once the first scan has ended. Pss divides
what is shared by all who map it, on this machine other Pythons too: growth is judged by what is
the agent's own (Anonymous), which nobody else's start or end changes.
Rule 2: nothing is idle on a machine where others work: how many events came is said beside, and how
many page faults, since a kernel that reclaims what is idle makes each wake-up dear.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.bench._agent import (
    REPOSITORY,
    Usage,
    await_calm,
    memory_mb,
    parts,
    running_agent,
    usage,
)
from tests.bench.exec_storm import Programs, build, run_storm
from tests.bench.figure import Figure, figure

from vedette.daemon import config, control_client
from vedette_dev.session import Session

BUDGET_PSS_MB = 42.0
BUDGET_GROWTH_MB = 1.0
BUDGET_CPU_PERCENT = 0.1
BUDGET_WAKEUPS = 1.0
BUDGET_WRITTEN_MB = 1.0
IDLE_S = 300.0
STORMS = 10
EXECS = 20_000
QUICK_STORMS = 2
LOOKS = 2
"""A device scans every six hours; one that follows the start's is not what idling costs."""
QUICK_EXECS = 5_000
DAY_S = 86400.0
CLOSED_TIMEOUT_S = 300.0
"""On a machine where others work there is always one; then it is measured all the same."""

Memory = Mapping[str, Mapping[str, float]]


def figures(*, is_quick: bool) -> Iterator[Figure]:
    with (
        tempfile.TemporaryDirectory(dir=REPOSITORY / "build") as folder,
        running_agent() as session,
    ):
        programs = build(Path(folder))
        await_calm(session)
        _await_closed(session)
        pids = parts(session)
        before = _memory(pids)
        yield from _told("idle", before)
        yield from _idle(session, pids, IDLE_S / 10 if is_quick else IDLE_S)
        count, execs = (QUICK_STORMS, QUICK_EXECS) if is_quick else (STORMS, EXECS)
        _storms(programs, count, execs)
        await_calm(session)
        after = _memory(pids)
        yield from _told("after storms", after)
        growth = _sum(after, "Anonymous") - _sum(before, "Anonymous")
        note = f"budget; {count} storms of {execs} executions"
        yield figure("memory growth over storms", [growth], "MB", BUDGET_GROWTH_MB, note)


def _await_closed(session: Session) -> None:
    """Wait until the incidents of the start are closed: each is an entry, which idling has not."""
    ends_s = time.monotonic() + CLOSED_TIMEOUT_S
    socket = config.load(session.running.config).control_socket
    while control_client.ask(socket, "status")["incidents_open"] and time.monotonic() < ends_s:
        time.sleep(1.0)


def _memory(pids: Mapping[str, int]) -> Memory:
    return {name: memory_mb(pid) for name, pid in pids.items()}


def _sum(memory: Memory, kind: str) -> float:
    return sum(found[kind] for found in memory.values())


def _told(when: str, memory: Memory) -> Iterator[Figure]:
    for name, found in memory.items():
        for kind, value in found.items():
            yield figure(f"memory {when}, {name}: {kind}", [value], "MB")
    pss = _sum(memory, "Pss")
    yield figure(f"memory {when}, together: Pss", [pss], "MB", BUDGET_PSS_MB, "budget")
    pair = pss - memory.get("keeper", {}).get("Pss", 0.0)
    note = "budget; as a service manager starts them, without our keeper"
    yield figure(f"memory {when}, sentinel and uplink: Pss", [pair], "MB", BUDGET_PSS_MB, note)


def _idle(session: Session, pids: Mapping[str, int], seconds: float) -> Iterator[Figure]:
    looks = (_look(session, pids, seconds) for _ in range(LOOKS))
    lasted_s, spent, rate, scans = next((seen for seen in looks if not seen.scans), None) or _look(
        session, pids, seconds
    )
    cpu = 100 * spent.cpu_s / lasted_s
    yield figure("idle: CPU", [cpu], "% of a core", BUDGET_CPU_PERCENT, "budget")
    wakeups = spent.wakeups / lasted_s
    yield figure("idle: wake-ups", [wakeups], "a second", BUDGET_WAKEUPS, "budget")
    written = spent.bytes_written / lasted_s * DAY_S / 2**20
    yield figure("idle: written to disk", [written], "MB a day", BUDGET_WRITTEN_MB, "budget")
    yield figure("idle: events that came all the same", [rate], "a second")
    yield figure("idle: scans of all files that came all the same", [scans], "scans")
    note = "a machine that reclaims idle memory, as by DAMON, has it fetched at each wake-up"
    yield figure("idle: page faults", [spent.faults / lasted_s], "a second", note=note)


class Look(NamedTuple):
    """How long it was, what was used, events a second, and how many scans came in between."""

    lasted_s: float
    spent: Usage
    rate: float
    scans: float


def _look(session: Session, pids: Mapping[str, int], seconds: float) -> Look:
    began_s, events, scans = time.monotonic(), _events(session), _scans(session)
    before = [usage(pid) for pid in pids.values()]
    time.sleep(seconds)
    lasted_s = time.monotonic() - began_s
    after = [usage(pid) for pid in pids.values()]
    rate = (_events(session) - events) / lasted_s
    spent = Usage(*(sum(a) - sum(b) for a, b in zip(zip(*after), zip(*before))))  # noqa: B905
    return Look(lasted_s, spent, rate, _scans(session) - scans)


def _scans(session: Session) -> float:
    """Scans that have ended, and the one that runs."""
    socket = config.load(session.running.config).control_socket
    state = control_client.ask(socket, "baseline.state")
    report = state["scan"]
    return float(str(report["number"]) if isinstance(report, dict) else 0) + bool(state["scanning"])


def _events(session: Session) -> float:
    """What the core has been told so far, by all sources."""
    socket = config.load(session.running.config).control_socket
    ledger = control_client.ask(socket, "status")["ledger"]
    rows = [row for row in ledger if isinstance(row, dict)] if isinstance(ledger, list) else []
    return sum(float(str(row["in"])) for row in rows if row["stage"] == "core")


def _storms(programs: Programs, count: int, execs: int) -> None:
    """Executions none of which is like another."""
    for number in range(count):
        run_storm(programs, "/bin/true", execs, f"storm-{number}")
