"""What the resident agent costs: memory idle and after storms, all else while nothing happens.

Rule 1: memory is what keeper, sentinel and uplink hold once the first scan has ended. Pss divides
what is shared by all who map it, on this machine other Pythons too: growth is judged by what is
the agent's own (Anonymous), which nobody else's start or end changes.
Rule 2: nothing is idle on a machine where others work: how many events came is said beside, and how
many page faults, since a kernel that reclaims what is idle makes each wake-up dear.
Rule 3: what a device does once an hour is not in five minutes, or is there twelve times too often.
So the window begins after the first drill and has no heartbeat, of which there are four an hour and
the first after a scan sums up the whole baseline; a drill and a link of the checkpoints are
measured beside; and what idling costs is the window and, each hour, one of both. Each part is a
figure of its own. The checks of all sources, every five minutes, are in the window.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench import _link_cost as link_cost
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

from vedette.daemon import config, control_client, heartbeat
from vedette.daemon.drills import FIRST_S
from vedette.errors import DeviceError
from vedette.kernel.ticks import next_tick_s
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
"""A device scans every six hours; one that follows the start's is not what idling costs, nor is an
incident. Where there is always one it is measured all the same, and said."""
QUICK_EXECS = 5_000
DAY_S, HOUR_S = 86400.0, 3600.0
HOURS = 24
FIRST_DRILL_TIMEOUT_S = FIRST_S + 120.0
SETTLE_S = 5.0
"""What comes of a drill after its end: entries, and what late sources still tell."""
CLOSED_TIMEOUT_S = 300.0
"""On a machine where others work there is always one; then it is measured all the same."""

REQUEST_TIMEOUT_S = 60.0

Memory = Mapping[str, Mapping[str, float]]


def figures(*, is_quick: bool) -> Iterator[Figure]:
    with (
        tempfile.TemporaryDirectory(dir=REPOSITORY / "build") as folder,
        running_agent() as session,
    ):
        programs = build(Path(folder))
        await_calm(session)
        if not is_quick:
            _await_first_drill(session)
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
    while _ask(session, "status")["incidents_open"] and time.monotonic() < ends_s:
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
    looks = (_look_between_beats(session, pids, seconds) for _ in range(LOOKS))
    lasted_s, spent, rate, scans, drills, entries = next(
        (seen for seen in looks if not (seen.scans or seen.drills or seen.entries)), None
    ) or _look_between_beats(session, pids, seconds)
    drill, link_bytes = _drill(session, pids), link_cost.bytes_of_a_link()
    cpu = 100 * (spent.cpu_s / lasted_s + drill.cpu_s / HOUR_S)
    yield figure("idle: CPU", [cpu], "% of a core", BUDGET_CPU_PERCENT, "budget")
    wakeups = spent.wakeups / lasted_s + drill.wakeups / HOUR_S
    yield figure("idle: wake-ups", [wakeups], "a second", BUDGET_WAKEUPS, "budget")
    window_mb = spent.bytes_written / lasted_s * DAY_S / 2**20
    written = window_mb + HOURS * (drill.bytes_written + link_bytes) / 2**20
    yield figure("idle: written to disk", [written], "MB a day", BUDGET_WRITTEN_MB, "budget")
    yield figure("idle: written beside drills and links", [window_mb], "MB a day")
    yield figure("idle: written by a drill, each hour", [drill.bytes_written / 1024], "KB")
    note = "with the entry of the drill before it"
    yield figure(
        "idle: written by a checkpoint link, each hour", [link_bytes / 1024], "KB", note=note
    )
    yield figure("idle: CPU of a drill, each hour", [1000 * drill.cpu_s], "ms")
    yield figure("idle: wake-ups of a drill, each hour", [drill.wakeups], "wake-ups")
    yield figure("idle: events that came all the same", [rate], "a second")
    yield figure("idle: scans of all files that came all the same", [scans], "scans")
    yield figure("idle: drills that came all the same", [drills], "drills")
    note = "of the journal: of incidents, since somebody did something"
    yield figure("idle: entries that came all the same", [entries], "entries", note=note)
    note = "a machine that reclaims idle memory, as by DAMON, has it fetched at each wake-up"
    yield figure("idle: page faults", [spent.faults / lasted_s], "a second", note=note)


def _drill(session: Session, pids: Mapping[str, int]) -> Usage:
    """What one costs, with what comes after it; what the player itself computes is not resident."""
    before = _usage(pids)
    _ask(session, "drill.run")
    time.sleep(SETTLE_S)
    return _between(before, _usage(pids))


class Look(NamedTuple):
    """How long it was, what was used, events a second, and what came in between that is not idle:
    scans, drills and entries of the journal."""

    lasted_s: float
    spent: Usage
    rate: float
    scans: float
    drills: float
    entries: float


def _look_between_beats(session: Session, pids: Mapping[str, int], seconds: float) -> Look:
    """All beats are at multiples of their period on the clock of this machine (kernel/ticks.py)."""
    left_s = next_tick_s(time.monotonic(), heartbeat.PERIOD_S) - time.monotonic()
    if left_s < seconds + SETTLE_S:
        time.sleep(left_s + SETTLE_S)
    return _look(session, pids, seconds)


def _look(session: Session, pids: Mapping[str, int], seconds: float) -> Look:
    events, scans, drills = _events(session), _scans(session), _drills(session)
    entries = _entries(session)
    began_s, before = time.monotonic(), _usage(pids)
    time.sleep(seconds)
    lasted_s, spent = time.monotonic() - began_s, _between(before, _usage(pids))
    rate = (_events(session) - events) / lasted_s
    return Look(
        lasted_s,
        spent,
        rate,
        _scans(session) - scans,
        _drills(session) - drills,
        _entries(session) - entries,
    )


def _usage(pids: Mapping[str, int]) -> Sequence[Usage]:
    return [usage(pid) for pid in pids.values()]


def _between(before: Sequence[Usage], after: Sequence[Usage]) -> Usage:
    return Usage(*(sum(a) - sum(b) for a, b in zip(zip(*after), zip(*before))))  # noqa: B905


def _ask(session: Session, request: str) -> Mapping[str, object]:
    socket = config.load(session.running.config).control_socket
    return control_client.ask(socket, request, timeout_s=REQUEST_TIMEOUT_S)


def _drills(session: Session) -> float:
    """Drills that were played."""
    found = _ask(session, "drill.show")["drills"]
    return float(len(found) if isinstance(found, list) else 0)


def _entries(session: Session) -> float:
    """Entries on the disk."""
    journal = _ask(session, "status")["journal"]
    return float(str(journal["size"])) if isinstance(journal, dict) else 0.0


def _await_first_drill(session: Session) -> None:
    """Until it is over: others come each hour."""
    ends_s = time.monotonic() + FIRST_DRILL_TIMEOUT_S
    while not _drills(session):
        if time.monotonic() > ends_s:
            raise DeviceError(f"expected a drill within {FIRST_DRILL_TIMEOUT_S:g} s, none came")
        time.sleep(1.0)
    time.sleep(SETTLE_S)


def _scans(session: Session) -> float:
    """Scans that have ended, and the one that runs."""
    state = _ask(session, "baseline.state")
    report = state["scan"]
    return float(str(report["number"]) if isinstance(report, dict) else 0) + bool(state["scanning"])


def _events(session: Session) -> float:
    """What the core has been told so far, by all sources."""
    ledger = _ask(session, "status")["ledger"]
    rows = [row for row in ledger if isinstance(row, dict)] if isinstance(ledger, list) else []
    return sum(float(str(row["in"])) for row in rows if row["stage"] == "core")


def _storms(programs: Programs, count: int, execs: int) -> None:
    """Executions none of which is like another."""
    for number in range(count):
        run_storm(programs, "/bin/true", execs, f"storm-{number}")
