"""A device that runs programs, as its sensors would tell it: the stage of the quiet day.

Rule 1: jobs say what a device does (`run`, `write`, `connect`, `say`); this file makes the events
that the sensors make of it, in order and with times, and nothing that a sensor would not give.
Rule 2: the same seed gives the same events.
Rule 3: a file outside of the trees that are watched by default is not told, as on a device.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush
from typing import NamedTuple

from vedette.daemon.config import WATCHED
from vedette.model.event import (
    Activity,
    ConnectionOpened,
    Event,
    FileAction,
    FileChanged,
    KernelActivity,
    ListenerOpened,
    LogLine,
    NameQueried,
    NameResolved,
    ProcessExited,
    ProcessStarted,
    Protocol,
)

DAY_S = 86_400.0
BUSYBOX = "/bin/busybox"
TICKS_PER_S = 100
PIDS = 32_768
REGULAR = 0o100000

Job = Callable[["Device"], None]


class Task(NamedTuple):
    """A job that comes back.

    Attributes:
        first_s: seconds after the day's begin; 0 means somewhere within the first period.
        period_s: 0 for a job that comes once.
        jitter: how much of the period it may be early or late, 0 to 1.
    """

    job: Job
    period_s: float
    first_s: float = 0.0
    jitter: float = 0.05


class Device:
    """One device of a class.

    Args:
        programs: image by the name of a program; names in `applets` are BusyBox's.
        address: its own address.
    """

    def __init__(
        self,
        seed: int,
        programs: Mapping[str, str],
        applets: frozenset[str],
        address: str = "192.168.1.1",
    ) -> None:
        self.random = random.Random(seed)
        self.now_s = 0.0
        self.address = address
        self.daemons: dict[str, int] = {}
        self._programs = programs
        self._applets = applets
        self._pid = 400
        self._port = 33_000
        self._events: list[Event] = []
        self._ended: list[int] = []

    def day(self, boot: Job, tasks: list[Task]) -> Iterator[Event]:
        """A boot and the rest of the day."""
        boot(self)
        heap: list[tuple[float, int, Task]] = []
        for number, task in enumerate(tasks):
            first_s = task.first_s or self.random.uniform(60, 60 + task.period_s)
            heappush(heap, (first_s, number, task))
        while heap:
            at_s, number, task = heappop(heap)
            if at_s >= DAY_S:
                continue
            self.now_s = max(at_s, self.now_s)
            task.job(self)
            yield from self._taken()
            if task.period_s:
                spread = task.period_s * task.jitter
                next_s = at_s + task.period_s + self.random.uniform(-spread, spread)
                heappush(heap, (next_s, number, task))

    def start(self, name: str, line: str, uid: int = 0) -> int:
        """A daemon begins and stays; jobs find it in `daemons`."""
        pid = self._start(1, line, "/", uid, -1)
        self.daemons[name] = pid
        return pid

    def run(
        self, parent: str | int, line: str, *, cwd: str = "/", uid: int = 0, login: int = -1
    ) -> int:
        """A daemon (by name) or process executes a command line; returns the new pid.

        The first word names the program; its end is told with the batch.
        """
        ppid = self.daemons[parent] if isinstance(parent, str) else parent
        pid = self._start(ppid, line, cwd, uid, login)
        self._ended.append(pid)
        return pid

    def write(
        self, who: str | int, path: str, action: FileAction = "modified", mode: int = 0o644
    ) -> None:
        """A process changes a file."""
        if not any(path == tree or path.startswith(f"{tree}/") for tree in WATCHED):
            return
        pid = self.daemons[who] if isinstance(who, str) else who
        gone = action == "deleted"
        self._tell(
            FileChanged(
                self._tick(), "fanotify", action, path, "", pid, -1 if gone else REGULAR | mode,
                -1 if gone else 0, is_directory=False, digest="",
            )
        )  # fmt: skip

    def move(self, who: int, source: str, target: str, mode: int = 0o644) -> None:
        """A process gives a file another name."""
        self._tell(
            FileChanged(
                self._tick(), "fanotify", "renamed", target, source, who, REGULAR | mode, 0,
                is_directory=False, digest="",
            )
        )  # fmt: skip

    def connect(self, who: str | int, name: str, port: int, protocol: Protocol = "tcp") -> None:
        """A process looks a name up (unless it is an address) and connects."""
        pid = self.daemons[who] if isinstance(who, str) else who
        address = name if name[-1].isdigit() else self.resolve(name)
        self._port = 33_000 + (self._port - 32_999) % 28_000
        self._tell(
            ConnectionOpened(
                self._tick(), "conntrack", protocol, is_initiated=True, source_ip=self.address,
                source_port=self._port, destination_ip=address, destination_port=port, pid=pid,
                uid=0,
            )
        )  # fmt: skip

    def accept(self, peer: str, port: int, protocol: Protocol = "tcp") -> None:
        """Somebody connects to this device."""
        self._tell(
            ConnectionOpened(
                self._tick(), "conntrack", protocol, is_initiated=False, source_ip=peer,
                source_port=self.random.randrange(40_000, 60_000), destination_ip=self.address,
                destination_port=port, pid=0, uid=-1,
            )
        )  # fmt: skip

    def resolve(self, name: str) -> str:
        """A name is looked up; the same name has the same address."""
        address = f"203.0.113.{sum(name.encode()) % 250 + 1}"
        self._tell(NameQueried(self._tick(), "dns", name, 1))
        self._tell(NameResolved(self._tick(), "dns", name, address, 300))
        return address

    def listen(self, who: str, port: int, protocol: Protocol = "tcp") -> None:
        """A daemon begins to listen."""
        self._tell(
            ListenerOpened(
                self._tick(), "listeners", protocol, "0.0.0.0", port, self.daemons[who], 0
            )
        )  # fmt: skip

    def say(self, service: str, message: str) -> None:
        """A line of the system log."""
        self._tell(LogLine(self._tick(), "log_file", service, message, 0))

    def kernel(self, who: str | int, activity: Activity, target: str, image: str = "") -> None:
        """A process changes what the kernel guards."""
        pid = self.daemons[who] if isinstance(who, str) else who
        self._tell(KernelActivity(self._tick(), "audit", activity, pid, 0, image, target))

    def pause(self, least_s: float, most_s: float) -> None:
        """A person thinks before the next line."""
        self.now_s += self.random.uniform(least_s, most_s)

    def word(self, chars: int = 6) -> str:
        """Letters as mktemp draws them."""
        letters = "abcdefghijkmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
        return "".join(self.random.choices(letters, k=chars))

    def _start(self, ppid: int, line: str, cwd: str, uid: int, login: int) -> int:
        self._pid = self._pid % PIDS + 1
        name, *_ = line.split(" ", 1)
        base = name.rpartition("/")[2].lstrip("-")
        image = BUSYBOX if base in self._applets else self._programs.get(base, name)
        if not image.startswith("/"):
            raise ValueError(f"expected a program this device has, got {name!r} in {line!r}")
        at_s = self._tick()
        self._tell(
            ProcessStarted(
                at_s, "audit", self._pid, ppid, int(at_s * TICKS_PER_S), image, name, line,
                is_complete=True, uid=uid, login_uid=login, cwd=cwd, cgroup="", device=1, inode=9,
            )
        )  # fmt: skip
        return self._pid

    def _tick(self) -> float:
        self.now_s += self.random.uniform(0.001, 0.02)
        return self.now_s

    def _tell(self, event: Event) -> None:
        self._events.append(event)

    def _taken(self) -> list[Event]:
        events = self._events
        for pid in reversed(self._ended):
            events.append(ProcessExited(self._tick(), "audit", pid))
        self._ended.clear()
        self._events = []
        return events
