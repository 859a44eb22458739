"""The processes of this device, as far as events told: ancestry without reading /proc.

Rule 1: bounded; what was not begun or touched for longest goes first, evictions are counted. Every
TOUCH_EVERY starts touch the ancestors of the newest, so that a storm does not push out where it
comes from; another daemon that it pushes out is looked up again when its pid is spoken of.
Rule 2: an ended process is kept for a while, because its file and network events may still come.
Rule 3: a pid that starts anew never inherits from the process that had it before.
Rule 4: the tree is fixed at birth: it outlives the ancestors that made it, and who is given to
init, as every daemon is, keeps the parent that it was born of where its fork was told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import inf
from sys import intern

from vedette.model.event import ProcessForked, ProcessStarted
from vedette.model.process import ProcessFacts, ProcessKey

MAX_PROCESSES = 1024
"""Some 0.4 MB when full, as after a storm of executions, whose ends some tiers do not see; routers
run 50 to 200 processes, and one that is missing here is looked up in /proc when it acts."""

KEEP_ENDED_S = 10.0
"""fanotify is read 20 ms after the event, conntrack hints may take a second."""

JUST_ENDED_S = 1.0
"""What is told of a program's file up to this long after its end may have happened before it."""

MAX_DEPTH = 16
MAX_KIN = 256
"""Descendants that a response is told of; a bomb has more, and the responder looks for them itself.
"""
MAX_TEXT = 2048
"""Characters kept of arguments, and half of those of a lineage: hostile ones have 64 K."""
TOUCH_EVERY = 64
ROOTS = frozenset({0, 1, 2})
"""The idle task, init and kthreadd belong to no tree: everything comes from them."""
MULTI_CALL = frozenset({"busybox", "toybox", "busybox.static", "busybox.nosuid", "busybox.suid"})
"""Programs that are many programs; which one they are is said by argv[0], or their first word."""

LINKED = frozenset({
    "kmod", "systemctl", "pgrep", "killall5", "xtables-nft-multi", "xtables-legacy-multi",
    "dropbearmulti", "uclient-fetch", "coreutils",
})  # fmt: skip
"""Programs that do other things under other names: kmod as lsmod, systemctl as reboot, pgrep as
pkill, uclient-fetch as wget. Under their own name they have no alias."""


class Process:
    """One process, as of its last exec."""

    __slots__ = (
        "alias", "argv0", "command_line", "cwd", "has_ended", "image", "legacy", "lineage",
        "login_uid", "pid", "ppid", "seen_at_s", "start_ticks", "tree", "uid",
    )  # fmt: skip

    def __init__(self, pid: int, ppid: int, start_ticks: int, seen_at_s: float) -> None:
        self.pid = pid
        self.ppid = ppid
        self.start_ticks = start_ticks
        self.seen_at_s = seen_at_s
        self.image = ""
        self.alias = ""
        self.argv0 = ""
        self.command_line = ""
        self.cwd = ""
        self.uid = -1
        self.login_uid = -1
        self.lineage = ""
        self.legacy = ""
        """The lineage of its children, once there is one: one text for all of them."""
        self.has_ended = False
        self.tree = ProcessKey(pid, start_ticks)


class ProcessTable:
    """Learns from events; answers by pid."""

    def __init__(self, limit: int = MAX_PROCESSES) -> None:
        self._limit = limit
        self._by_pid: dict[int, Process] = {}
        self._running: dict[str, int] = {}
        self._ended: deque[tuple[float, Process]] = deque(maxlen=limit)
        self._just_ended: dict[str, float] = {}
        self._started = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._by_pid)

    def __iter__(self) -> Iterator[Process]:
        return iter(tuple(self._by_pid.values()))

    def __contains__(self, pid: object) -> bool:
        return pid in self._by_pid

    def get(self, pid: int) -> Process | None:
        """The process that has this pid now, or had it within KEEP_ENDED_S."""
        return self._by_pid.get(pid)

    def is_running(self, path: str, at_s: float) -> bool:
        """Whether a process of this executable is known and was not seen to end.

        Sources have delays of their own: one that ended less than JUST_ENDED_S before counts.
        """
        if path in self._running:
            return True
        ended_s = self._just_ended.get(path)
        return ended_s is not None and at_s - ended_s <= JUST_ENDED_S

    def runner(self, path: str) -> Process | None:
        """Who runs this executable for longest; for a response, since it looks at all."""
        if path not in self._running:
            return None
        running = (one for one in self if one.image == path and not one.has_ended)
        return min(running, key=lambda one: one.seen_at_s, default=None)

    def start(self, event: ProcessStarted) -> Process:
        """A process executed a program: same process, new image."""
        known = self._by_pid.pop(event.pid, None)
        if known is not None:
            self._forget_image(known, event.at_s)
            if known.has_ended or _is_other(known, event):
                known = None
        process = Process(event.pid, event.ppid, event.start_ticks, event.at_s)
        if known is not None:
            process.start_ticks = process.start_ticks or known.start_ticks
            process.ppid = known.ppid or process.ppid
        # Programs and folders are few and processes many: equal texts are one object.
        process.image = intern(event.image)
        process.argv0 = intern(event.argv0[:MAX_TEXT])
        process.command_line = event.command_line[:MAX_TEXT]
        process.cwd = intern(event.cwd)
        process.uid = event.uid
        process.login_uid = event.login_uid
        process.alias = alias_of(event.image, event.argv0, event.command_line)
        parent = self._by_pid.get(process.ppid)
        if parent is not None:
            process.lineage = _lineage(parent)
            if parent.pid not in ROOTS:
                process.tree = parent.tree
        if known is not None:
            process.tree = known.tree
            process.lineage = process.lineage or known.lineage
        self._insert(process)
        self._started += 1
        if self._started % TOUCH_EVERY == 0:
            self._touch_ancestors(process)
        return process

    def fork(self, event: ProcessForked) -> None:
        """A process copied itself: the child is what its parent is."""
        parent = self._by_pid.get(event.ppid)
        stale = self._by_pid.pop(event.pid, None)
        if stale is not None:
            self._forget_image(stale, event.at_s)
        child = Process(event.pid, event.ppid, event.start_ticks, event.at_s)
        if parent is not None:
            child.image = parent.image
            child.alias = parent.alias
            child.argv0 = parent.argv0
            child.command_line = parent.command_line
            child.cwd = parent.cwd
            child.uid = parent.uid
            child.login_uid = parent.login_uid
            child.lineage = _lineage(parent)
            if parent.pid not in ROOTS:
                child.tree = parent.tree
        self._insert(child)

    def end(self, pid: int, at_s: float) -> None:
        """A process ended; it stays known for KEEP_ENDED_S."""
        process = self._by_pid.get(pid)
        if process is not None and not process.has_ended:
            self._forget_image(process, at_s)
            process.has_ended = True
            self._ended.append((at_s, process))
        self._drop_ended(at_s)

    def sweep(self, alive: frozenset[int], at_s: float) -> None:
        """Every pid that is not alive has ended unseen."""
        for pid in [pid for pid in self._by_pid if pid not in alive]:
            self.end(pid, at_s)
        self._drop_ended(at_s)

    def chain(self, pid: int) -> Iterator[Process]:
        """The process and its known ancestors, nearest first, at most MAX_DEPTH."""
        seen: set[int] = set()
        while pid > 0 and pid not in seen and len(seen) < MAX_DEPTH:
            process = self._by_pid.get(pid)
            if process is None:
                return
            seen.add(pid)
            yield process
            pid = process.ppid

    def descendants(self, pid: int) -> list[Process]:
        """Those that descend from it and were not seen to end, at most MAX_KIN, oldest first.

        What lay between may have ended within KEEP_ENDED_S. A pid between that was used again by a
        younger process is nobody's ancestor.
        """
        root = self._by_pid.get(pid)
        if root is None:
            return []
        known = {pid: True}
        found = (
            process
            for process in self._by_pid.values()
            if process.tree == root.tree and self._descends(process, known) and process is not root
        )
        alive = [process for process in found if not process.has_ended]
        return sorted(alive, key=lambda process: process.start_ticks)[:MAX_KIN]

    def _descends(self, process: Process, known: dict[int, bool]) -> bool:
        """Whether it comes from a pid that `known` says does; learns of all between."""
        path: list[int] = []
        step: Process | None = process
        while step is not None and step.pid not in known and len(path) < MAX_DEPTH:
            path.append(step.pid)
            parent = self._by_pid.get(step.ppid)
            is_older = parent is not None and parent.start_ticks <= (step.start_ticks or inf)
            step = parent if is_older else None
        verdict = step is not None and known.get(step.pid, False)
        known.update(dict.fromkeys(path, verdict))
        return verdict

    def _touch_ancestors(self, process: Process) -> None:
        for ancestor in list(self.chain(process.ppid)):
            self._by_pid[ancestor.pid] = self._by_pid.pop(ancestor.pid)

    def _insert(self, process: Process) -> None:
        self._by_pid[process.pid] = process
        if process.image:
            self._running[process.image] = self._running.get(process.image, 0) + 1
        if len(self._by_pid) > self._limit:
            self._evict()

    def _evict(self) -> None:
        """Forget the one that ended first, or the oldest where nothing has ended."""
        self.evicted += 1
        while self._ended:
            _, process = self._ended.popleft()
            if self._by_pid.get(process.pid) is process:
                del self._by_pid[process.pid]
                return
        oldest = self._by_pid.pop(next(iter(self._by_pid)))
        self._forget_image(oldest)

    def _forget_image(self, process: Process, ended_s: float | None = None) -> None:
        if process.has_ended or not process.image:
            return
        left = self._running.get(process.image, 0) - 1
        if left > 0:
            self._running[process.image] = left
            return
        self._running.pop(process.image, None)
        if ended_s is not None:
            self._just_ended.pop(process.image, None)
            self._just_ended[process.image] = ended_s
            if len(self._just_ended) > self._limit:
                del self._just_ended[next(iter(self._just_ended))]

    def _drop_ended(self, at_s: float) -> None:
        while self._ended and at_s - self._ended[0][0] > KEEP_ENDED_S:
            _, process = self._ended.popleft()
            if self._by_pid.get(process.pid) is process:
                del self._by_pid[process.pid]


def _is_other(known: Process, event: ProcessStarted) -> bool:
    """Whether another process had this pid: its end was not told."""
    return 0 < known.start_ticks != event.start_ticks > 0


def facts(process: Process, users: dict[int, str]) -> ProcessFacts:
    """What a finding shows of a process before the shell adds unit and digest."""
    return ProcessFacts(
        key=ProcessKey(process.pid, process.start_ticks),
        ppid=process.ppid,
        image=process.image,
        argv0=process.argv0,
        command_line=process.command_line,
        uid=process.uid,
        user=users.get(process.uid, ""),
        unit="",
        sha256="",
    )


def alias_of(image: str, argv0: str, command_line: str) -> str:
    """The path of the applet a multi-call program was run as, "" for every other program.

    `/bin/busybox` run as `wget` (or as `busybox wget`) is `/bin/wget`; so is `/usr/bin/kmod` run as
    `lsmod` that.
    """
    folder, _, name = image.rpartition("/")
    if name not in MULTI_CALL and name not in LINKED:
        return ""
    applet = argv0.lstrip("-").rpartition("/")[2]
    if applet == name and name in LINKED:
        return ""
    if applet in MULTI_CALL:
        words = command_line.split(" ", 2)
        applet = words[1] if len(words) > 1 else ""
    return f"{folder}/{applet}" if applet and "/" not in applet else ""


def _lineage(parent: Process) -> str:
    """Images of the ancestors, nearest first, joined by "|" and cut at MAX_DEPTH of them."""
    if not parent.legacy:
        own = parent.alias or parent.image
        older = parent.lineage.split("|", MAX_DEPTH - 1)[: MAX_DEPTH - 1] if parent.lineage else ()
        parent.legacy = "|".join([own, *older])[: 2 * MAX_TEXT]
    return parent.legacy
