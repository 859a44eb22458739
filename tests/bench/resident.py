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
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""A scan that follows the start's, of which a device has four a day, is not what idling or a drill
costs, nor is an incident. Where there is always one it is measured all the same, and said."""
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
    window = _alone(lambda: _look_between_beats(session, pids, seconds))
    drill = _alone(lambda: _drill(session, pids))
    lasted_s, spent, link_bytes = window.lasted_s, window.spent, link_cost.bytes_of_a_link()
    cpu = 100 * (spent.cpu_s / lasted_s + drill.spent.cpu_s / HOUR_S)
    yield figure("idle: CPU", [cpu], "% of a core", BUDGET_CPU_PERCENT, "budget")
    wakeups = spent.wakeups / lasted_s + drill.spent.wakeups / HOUR_S
    yield figure("idle: wake-ups", [wakeups], "a second", BUDGET_WAKEUPS, "budget")
    window_mb = spent.bytes_written / lasted_s * DAY_S / 2**20
    written = window_mb + HOURS * (drill.spent.bytes_written + link_bytes) / 2**20
    yield figure("idle: written to disk", [written], "MB a day", BUDGET_WRITTEN_MB, "budget")
    yield figure("idle: written beside drills and links", [window_mb], "MB a day")
    drill_kb = drill.spent.bytes_written / 1024
    yield figure("idle: written by a drill, each hour", [drill_kb], "KB")
    note = "with the entry of the drill before it"
    yield figure(
        "idle: written by a checkpoint link, each hour", [link_bytes / 1024], "KB", note=note
    )
    yield figure("idle: CPU of a drill, each hour", [1000 * drill.spent.cpu_s], "ms")
    yield figure("idle: wake-ups of a drill, each hour", [drill.spent.wakeups], "wake-ups")
    rate = window.came.events / lasted_s
    yield figure("idle: events that came all the same", [rate], "a second")
    scans, drills, entries = (a + b for a, b in zip(window.came[1:], drill.came[1:], strict=True))
    yield figure("idle: scans of all files that came all the same", [scans], "scans")
    yield figure("idle: drills that came all the same", [drills], "drills")
    note = "of the journal, in the window and while a drill was measured: somebody did something"
    yield figure("idle: entries that came all the same", [entries], "entries", note=note)
    note = "a machine that reclaims idle memory, as by DAMON, has it fetched at each wake-up"
    yield figure("idle: page faults", [spent.faults / lasted_s], "a second", note=note)


class Counts(NamedTuple):
    """What the agent counts, at one moment."""

    events: float
    scans: float
    is_scanning: bool
    drills: float
    entries: float


class Came(NamedTuple):
    """What came in between; all but events is not what is measured."""

    events: float
    scans: float
    drills: float
    entries: float


class Look(NamedTuple):
    """How long it was, what was used, and what came meanwhile."""

    lasted_s: float
    spent: Usage
    came: Came

    @property
    def is_alone(self) -> bool:
        """Whether nothing was measured with it."""
        return not any(self.came[1:])


def _alone(look: Callable[[], Look]) -> Look:
    """The first look of LOOKS with which nothing came, else one more."""
    return next((seen for seen in (look() for _ in range(LOOKS)) if seen.is_alone), None) or look()


def _look_between_beats(session: Session, pids: Mapping[str, int], seconds: float) -> Look:
    """All beats are at multiples of their period on the clock of this machine (kernel/ticks.py)."""
    left_s = next_tick_s(time.monotonic(), heartbeat.PERIOD_S) - time.monotonic()
    if left_s < seconds + SETTLE_S:
        time.sleep(left_s + SETTLE_S)
    return _look(session, pids, lambda: time.sleep(seconds))


def _drill(session: Session, pids: Mapping[str, int]) -> Look:
    """What one costs, with what comes after it; what the player itself computes is not resident."""

    def play() -> None:
        _ask(session, "drill.run")
        time.sleep(SETTLE_S)

    look = _look(session, pids, play)
    return look._replace(came=look.came._replace(drills=look.came.drills - 1))


def _look(session: Session, pids: Mapping[str, int], act: Callable[[], None]) -> Look:
    counts = _counts(session)
    began_s, before = time.monotonic(), _usage(pids)
    act()
    lasted_s, spent = time.monotonic() - began_s, _between(before, _usage(pids))
    return Look(lasted_s, spent, came(counts, _counts(session)))


def came(before: Counts, after: Counts) -> Came:
    """What came between two moments; a scan that ran at either of them is in it."""
    return Came(
        after.events - before.events,
        after.scans + after.is_scanning - before.scans,
        after.drills - before.drills,
        after.entries - before.entries,
    )


def _usage(pids: Mapping[str, int]) -> Sequence[Usage]:
    return [usage(pid) for pid in pids.values()]


def _between(before: Sequence[Usage], after: Sequence[Usage]) -> Usage:
    return Usage(*(sum(a) - sum(b) for a, b in zip(zip(*after), zip(*before))))  # noqa: B905


def _ask(session: Session, request: str) -> Mapping[str, object]:
    socket = config.load(session.running.config).control_socket
    return control_client.ask(socket, request, timeout_s=REQUEST_TIMEOUT_S)


def _counts(session: Session) -> Counts:
    state, drills = _ask(session, "baseline.state"), _drills(session)
    # Last: who asks for drills has waited for what the journal was writing.
    status = _ask(session, "status")
    scan, ledger, journal = state["scan"], status["ledger"], status["journal"]
    rows = [row for row in ledger if isinstance(row, dict)] if isinstance(ledger, list) else []
    return Counts(
        events=sum(float(str(row["in"])) for row in rows if row["stage"] == "core"),
        scans=float(str(scan["number"])) if isinstance(scan, dict) else 0.0,
        is_scanning=bool(state["scanning"]),
        drills=drills,
        entries=float(str(journal["size"])) if isinstance(journal, dict) else 0.0,
    )


def _drills(session: Session) -> float:
    """Drills that were played."""
    found = _ask(session, "drill.show")["drills"]
    return float(len(found) if isinstance(found, list) else 0)


def _await_first_drill(session: Session) -> None:
    """Until it is over: others come each hour."""
    ends_s = time.monotonic() + FIRST_DRILL_TIMEOUT_S
    while not _drills(session):
        if time.monotonic() > ends_s:
            raise DeviceError(f"expected a drill within {FIRST_DRILL_TIMEOUT_S:g} s, none came")
        time.sleep(1.0)
    time.sleep(SETTLE_S)


def _storms(programs: Programs, count: int, execs: int) -> None:
    """Executions none of which is like another."""
    for number in range(count):
        run_storm(programs, "/bin/true", execs, f"storm-{number}")
