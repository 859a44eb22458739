"""A process with its descendants, found while they go on being born.

Rule 1: a member that is held and whose children were listed after that can have no child but those.
Once this is so of all members, the tree is closed.
Rule 2: a descendant whose parent ended belongs to init. It is known by what only birth gives: a
session or a process group led by a member, or the random places in memory of a program that a
member executed; or the process table knew it (ProcessTarget.kin). In doubt it is left alone.
Rule 3: pid 1, the agent, kernel threads and what may not be touched are spared, with all that
descends from them, and told.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol, Self

from vedette.codec.procfs import Layout, Stat
from vedette.model.process import ProcessKey
from vedette.responses._process_handle import (
    MAX_OPEN,
    TICKS_PER_S,
    ProcessHandle,
    Seen,
    look_at,
    open_process,
    read_tasks,
)

SETTLE_S: Final = 0.05
PAUSE_S: Final = 0.0002
_ADDR_NO_RANDOMIZE: Final = 0x0040000
"""linux/personality.h"""
_READ_BYTES: Final = 1 << 16
_HAS_CHILDREN_FILES: Final = Path("/proc/thread-self/children").exists()
"""CONFIG_PROC_CHILDREN; without it each look goes through all processes."""


class Brake(Protocol):
    """Takes hold of processes, so that they run no further."""

    def hold(self, process: ProcessHandle) -> None:
        """Take hold of it; one that has ended is none of our business.

        Raises:
            ResponseError: the kernel does not let us.
        """

    def is_held(self, process: ProcessHandle) -> bool:
        """Whether no child of it can be born any more that a look at its children would miss."""


class ProcessTree:
    """The members found so far; a context manager that lets them go.

    Attributes:
        members: by pid, in the order they were found.
        spared: the pids that were met and left alone.
    """

    def __init__(self, brake: Brake, untouchable: frozenset[int]) -> None:
        self.members: dict[int, ProcessHandle] = {}
        self.spared: set[int] = set()
        self._brake = brake
        self._untouchable = untouchable | {1, os.getpid()}
        self._open: dict[int, ProcessHandle] = {}
        self._leaders: dict[int, int] = {}
        self._foreign: set[Layout | None] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether no descendant can be born unseen."""
        return not self._open

    def add(self, process: ProcessHandle) -> bool:
        """Take hold of a process that belongs to the tree; False where it is spared."""
        pid = process.pid
        if pid in self.members:
            process.close()
            return True
        if pid in self._untouchable or process.stat.is_kernel_thread:
            self.spared.add(pid)
            process.close()
            return False
        self.members[pid] = self._open[pid] = process
        self._leaders[pid] = process.stat.start_ticks
        self._brake.hold(process)
        if len(self.members) == 1:
            self._foreign = _foreign_layouts(process)
        if len(self.members) > MAX_OPEN:
            process.close()
        return True

    def add_led(self, key: ProcessKey) -> None:
        """The root has ended: what it led belongs to the tree all the same."""
        if key.start_ticks:
            self._leaders[key.pid] = key.start_ticks

    def add_kin(self, kin: Iterable[ProcessKey]) -> None:
        """Take hold of those that are still the ones that were known."""
        for key in kin:
            if not key.start_ticks or key.pid in self.members:
                continue
            process = open_process(key.pid)
            if process is not None and process.is_same(key.start_ticks):
                self.add(process)
            elif process is not None:
                process.close()

    def add_all(self, pids: Iterable[int]) -> None:
        """Take hold of processes that are known to belong to the tree."""
        for pid in pids:
            process = None if pid in self.members else open_process(pid)
            if process is not None:
                self.add(process)

    def change_brake(self, brake: Brake) -> None:
        """Hold all members by another brake; the tree is open again until they were looked at."""
        self._brake = brake
        for process in self.members.values():
            brake.hold(process)
        self._open = dict(self.members)

    def look(self) -> int:
        """Look once at the children of all members that may still have unknown ones.

        Returns:
            How many members were found.
        """
        before = len(self.members)
        held = {pid for pid, process in self._open.items() if self._brake.is_held(process)}
        for pid, process in self._open.items():
            if pid not in held:
                self._brake.hold(process)  # somebody may have let it go on
        # A number that is given anew is a later one's: who began before the list was made is on it.
        listed_ticks = int(time.clock_gettime(time.CLOCK_BOOTTIME) * TICKS_PER_S)
        for pid in list(_children(list(self._open))):
            self._take_child(pid, listed_ticks)
        for pid in held:
            del self._open[pid]
        return len(self.members) - before

    def settle(self, until_s: float) -> bool:
        """Look until the tree is closed.

        Args:
            until_s: by time.monotonic().

        Returns:
            False where the time is up, or nothing new was found for SETTLE_S and some still do not
            come to rest: they sleep uninterruptibly.
        """
        quiet_s = time.monotonic()
        while True:
            count = self.look()
            now_s = time.monotonic()
            if self.is_closed:
                return True
            if now_s >= until_s or (not count and now_s - quiet_s >= SETTLE_S):
                return False
            if count:
                quiet_s = now_s
            else:
                time.sleep(PAUSE_S)

    def claim(self) -> int:
        """Go once through all processes for members that were given to init.

        Returns:
            How many were found.
        """
        before = len(self.members)
        processes = scan()
        own = self._own_layouts()
        for pid, seen in processes.items():
            if pid in self.members or pid in self.spared:
                continue
            if seen.layout in own or self._is_led(seen.stat, processes):
                process = open_process(pid)
                if process is None:
                    continue
                if process.is_same(seen.stat.start_ticks):
                    self.add(process)
                else:
                    process.close()
        return len(self.members) - before

    def _take_child(self, pid: int, listed_ticks: int) -> None:
        if pid in self.members or pid in self.spared:
            return
        process = open_process(pid)
        if process is None:
            return
        if process.stat.start_ticks <= listed_ticks:
            self.add(process)
        else:
            process.close()

    def _own_layouts(self) -> set[Layout | None]:
        """Of programs that a member executed: who has one was forked from that member."""
        if self._foreign is None:
            return set()
        return {process.layout for process in self.members.values()} - self._foreign - {None}

    def _is_led(self, stat: Stat, processes: Mapping[int, Seen]) -> bool:
        return any(
            self._is_led_by(leader, stat, processes) for leader in (stat.session, stat.group)
        )

    def _is_led_by(self, leader: int, stat: Stat, processes: Mapping[int, Seen]) -> bool:
        began = self._leaders.get(leader)
        if began is None or stat.start_ticks < began or stat.ppid in self.spared:
            return False
        # While anybody is in its session or group the kernel gives the number to nobody else.
        now = processes.get(leader)
        return now is None or now.stat.start_ticks == began

    def close(self) -> None:
        """Let the descriptors go; what was done to the members stays."""
        for process in self.members.values():
            process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def scan() -> dict[int, Seen]:
    """Every process of this moment, by pid."""
    names = os.listdir("/proc")  # noqa: PTH208 - hot
    found = (look_at(name) for name in names if name.isdecimal())
    return {seen.stat.pid: seen for seen in found if seen is not None}


def _foreign_layouts(root: ProcessHandle) -> set[Layout | None] | None:
    """Those that others than the tree may have; None where layouts say nothing.

    The root's own is its own only where its parent is there and has another: else the root may have
    been forked, and so may others.
    """
    if not is_random(root.pid):
        return None
    parent = look_at(root.stat.ppid)
    return {root.layout if parent is None or parent.layout is None else parent.layout}


def is_random(pid: int) -> bool:
    """Whether this kernel puts a process's programs at random places (personality(2))."""
    words = (_read("/proc/sys/kernel/randomize_va_space"), _read(f"/proc/{pid}/personality"))
    try:
        return int(words[0]) > 0 and not int(words[1], 16) & _ADDR_NO_RANDOMIZE
    except ValueError:  # it cannot be told
        return False


def _children(parents: list[int]) -> Iterator[int]:
    """All children of these, each thread's own too."""
    if not _HAS_CHILDREN_FILES:
        wanted = frozenset(parents)
        yield from (pid for pid, seen in scan().items() if seen.stat.ppid in wanted)
        return
    for parent in parents:
        for task in read_tasks(parent):
            yield from map(int, _read(f"/proc/{parent}/task/{task}/children").split())


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""  # that thread has ended
    try:
        parts = []
        while part := os.read(descriptor, _READ_BYTES):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
