"""Processes by looking through /proc every few seconds: the tier that works everywhere.

Rule 1: what begins and ends between two looks is not seen; the tier says so.
Rule 2: a pid is told from its reuse by its start time, an execution within a process by its name,
which every execution sets (proc(5) field 2).
Rule 3: /proc is read in a worker thread; only what is new is read in full, through psutil.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from vedette.codec.procfs import Stat, parse_stat
from vedette.codec.text import told_apart
from vedette.errors import ParseError, SensorError
from vedette.model.event import Event, EventClass, EventsLost, ProcessExited, ProcessStarted
from vedette.model.tier import Tier
from vedette.ports.sensor import PROOF_TIMEOUT_S, Sensor, SensorContext
from vedette.sensors._child import Child

if TYPE_CHECKING:
    import psutil

NAME: Final = "procfs"
DEFAULT_PERIOD_S: Final = 2
MAX_ARGUMENTS_CHARACTERS: Final = 8192


class _Seen(NamedTuple):
    """What tells one program of one process from the next."""

    start_ticks: int
    name: str


class _Look(NamedTuple):
    """One look through /proc: all there are, and what began or ended since the one before."""

    processes: dict[int, _Seen]
    events: list[Event]


class ProcfsSensor(Sensor):
    """New and ended processes, as of every look through /proc."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"sys_ptrace"})
    tiers: ClassVar[tuple[Tier, ...]] = (
        Tier(
            EventClass.PROCESS,
            NAME,
            20,
            "processes that live longer than the period between two looks (2 s by default)",
            (
                "every process that ends sooner: most commands of a shell script",
                "the program path of other users' processes, unless root",
                "the exact moment of the start",
            ),
            ("CAP_AUDIT_CONTROL or CAP_NET_ADMIN for a better tier", "package psutil"),
        ),
    )

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self._period_s = float(context.options.get("period_s", DEFAULT_PERIOD_S))
        self._seen: dict[int, _Seen] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Future[_Look] | None = None
        self._proof_pid = 0
        self._counts = {"in": 0, "out": 0, "dropped": 0, "unreadable": 0}

    @property
    def proof_timeout_s(self) -> float:
        """A proof may have to wait for the next look."""
        return self._period_s + PROOF_TIMEOUT_S

    def counters(self) -> Mapping[str, int]:
        """Looks (in), events out, dropped (always 0: nobody can count them), failed looks."""
        return dict(self._counts)

    async def _open(self) -> None:
        try:
            import psutil  # noqa: F401, PLC0415 - 4 MB that only this tier needs
        except ImportError as error:
            raise SensorError("procfs: expected the package psutil, found none") from error
        # What runs already is told by the agent's own snapshot, not as started now.
        self._seen = (await asyncio.to_thread(_look, {}, is_detailed=False)).processes
        self._later()

    async def _provoke(self, token: str) -> None:
        # It must still run at the next look.
        code = f"import time; time.sleep({self.proof_timeout_s:g})"
        child = Child([sys.executable, "-I", "-S", "-c", code, token])
        self._proof_pid = child.pid
        try:
            if self._proof is not None:
                await asyncio.wait([self._proof])
        finally:
            await child.end()

    def _is_proof(self, event: Event, token: str) -> bool:
        if isinstance(event, ProcessStarted):
            return event.pid == self._proof_pid and event.command_line.endswith(token)
        return False

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.remove_done_callback(self._looked)
            await asyncio.wait([looking])

    def _later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._period_s, self._look_again)

    def _look_again(self) -> None:
        loop = asyncio.get_running_loop()
        look = functools.partial(_look, self._seen, is_detailed=True)
        self._looking = loop.run_in_executor(None, look)
        self._looking.add_done_callback(self._looked)

    def _looked(self, looking: asyncio.Future[_Look]) -> None:
        self._looking = None
        self._counts["in"] += 1
        try:
            look = looking.result()
        except OSError as error:
            self._counts["unreadable"] += 1
            now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
            reason = f"/proc could not be read: {error}"
            self.emit([EventsLost(now_s, NAME, EventClass.PROCESS, "sensor", 0, False, reason)])
        else:
            self._seen = look.processes
            self._counts["out"] += len(look.events)
            self.emit(look.events)
        self._later()


def _look(before: Mapping[int, _Seen], *, is_detailed: bool) -> _Look:
    """Look through /proc.

    Raises:
        OSError: /proc itself cannot be read.
    """
    processes: dict[int, _Seen] = {}
    events: list[Event] = []
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    for name in os.listdir("/proc"):  # noqa: PTH208 - hot
        if not name.isdecimal() or (stat := _stat(name)) is None:
            continue
        seen = processes[stat.pid] = _Seen(stat.start_ticks, stat.name)
        if is_detailed and seen != before.get(stat.pid):
            events.append(_started(stat, now_s))
    events += [
        ProcessExited(now_s, NAME, pid)
        for pid, seen in before.items()
        if pid not in processes or processes[pid].start_ticks != seen.start_ticks
    ]
    # Ends first: a pid that was used again ended before it began.
    events.sort(key=lambda event: isinstance(event, ProcessStarted))
    return _Look(processes, events)


def _stat(pid: str) -> Stat | None:
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_bytes())
    except (OSError, ParseError):
        return None


def _started(stat: Stat, now_s: float) -> ProcessStarted:
    import psutil  # noqa: PLC0415 - _open has imported it

    image, cwd, arguments, uid = "", "", list[str](), -1
    try:
        process = psutil.Process(stat.pid)
        uid = process.uids().real
        arguments = process.cmdline()
        image = _image(process)
        cwd = process.cwd()
    except (psutil.Error, OSError):
        pass  # it ended, or is not ours to see; what was read is still true
    line = " ".join(arguments)
    return ProcessStarted(
        at_s=now_s,
        tier=NAME,
        pid=stat.pid,
        ppid=stat.ppid,
        start_ticks=stat.start_ticks,
        image=image,
        argv0=arguments[0] if arguments else "",
        command_line=line[:MAX_ARGUMENTS_CHARACTERS],
        is_complete=0 < len(line) <= MAX_ARGUMENTS_CHARACTERS,
        uid=uid,
        login_uid=-1,
        cwd=cwd,
        cgroup="",
        device=0,
        inode=0,
        arguments=told_apart(arguments, line)[:MAX_ARGUMENTS_CHARACTERS],
    )


def _image(process: psutil.Process) -> str:
    """The program's path as proc_pid_exe(5) has it; psutil's own drops the " (deleted)"."""
    try:
        return str(Path(f"/proc/{process.pid}/exe").readlink())
    except OSError:
        return process.exe()  # another user's: what its command line says, if that is a program


sensor_class = ProcfsSensor
