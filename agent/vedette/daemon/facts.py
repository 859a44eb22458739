"""Looks things up for the core: processes that events did not explain, digests, units, users.

Rule 1: /proc is read on a miss or for a finding, never on the path of every event.
Rule 2: what is read may have changed meanwhile: the start time decides whether a pid still means
the process that was asked for; if not, the answer is "unknown".
Rule 3: a digest is cached by (device, inode, size, mtime, ctime), bounded; files above
MAX_HASH_BYTES are not read.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import time
from collections import OrderedDict
from collections.abc import Container, Mapping

from vedette.codec import procfs
from vedette.core.commands import Subject
from vedette.core.inputs import ProcessDetail
from vedette.errors import ParseError
from vedette.model.event import ProcessStarted

SNAPSHOT = "procfs"
MAX_CACHED = 512
MAX_HASH_BYTES = 64 * 1024 * 1024
"""0.1 s of hashing on the slowest target; larger programs are models and archives."""
READ_BYTES = 256 * 1024
MAX_CMDLINE_BYTES = 4096
MAX_ANCESTORS = 16
TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
EARLY_S = 0.011
"""audit stamps with the last timer tick (10 ms apart at CONFIG_HZ=100), in whole milliseconds."""

FileKey = tuple[int, int, int, int, int]


def users() -> dict[int, str]:
    """Login names by uid, from the passwd database."""
    return {entry.pw_uid: entry.pw_name for entry in pwd.getpwall()}


def pids() -> list[int]:
    """All processes there are now."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - hot


def snapshot() -> tuple[ProcessStarted, ...]:
    """Every process of this moment, parents before children as far as pids tell."""
    found = (lookup(pid) for pid in sorted(pids()))
    return tuple(process for process in found if process is not None)


def lookup_chains(wanted: Mapping[int, float], known: Container[int]) -> tuple[ProcessStarted, ...]:
    """Processes by pid, with their ancestors up to the first known one or MAX_ANCESTORS.

    Args:
        wanted: by pid, when it was spoken of (CLOCK_BOOTTIME); whoever began later is not meant.
        known: pids that need no look.
    """
    found: dict[int, ProcessStarted] = {}
    for first, spoken_s in wanted.items():
        pid, left = first, MAX_ANCESTORS
        while pid > 0 and left > 0 and pid not in found and pid not in known:
            process = lookup(pid)
            if process is None or began_s(process.start_ticks) > spoken_s + TICK_S:
                break
            found[pid] = process
            pid, left = process.ppid, left - 1
    return tuple(found.values())


def began_s(start_ticks: int) -> float:
    """proc(5) field 22 as seconds of CLOCK_BOOTTIME, rounded down to a tick."""
    return start_ticks * TICK_S


def lookup(pid: int) -> ProcessStarted | None:
    """One process as /proc shows it now, or None when it has ended.

    Kernel threads have no image; `is_complete` is False when the command line was cut.
    """
    try:
        stat = procfs.parse_stat(_read(f"/proc/{pid}/stat"))
        raw = _read(f"/proc/{pid}/cmdline", MAX_CMDLINE_BYTES + 1)
        uid = os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116 - hot
    except (OSError, ParseError):
        return None
    argv0, command_line = procfs.parse_cmdline(raw[:MAX_CMDLINE_BYTES])
    return ProcessStarted(
        at_s=time.clock_gettime(time.CLOCK_BOOTTIME),
        tier=SNAPSHOT,
        pid=pid,
        ppid=stat.ppid,
        start_ticks=stat.start_ticks,
        image=_link(f"/proc/{pid}/exe"),
        argv0=argv0,
        command_line=command_line,
        is_complete=len(raw) <= MAX_CMDLINE_BYTES,
        uid=uid,
        login_uid=-1,
        cwd=_link(f"/proc/{pid}/cwd"),
        cgroup="",
        device=0,
        inode=0,
        arguments=procfs.parse_arguments(raw[:MAX_CMDLINE_BYTES]),
    )


class Facts:
    """Answers Resolve commands; keeps digests."""

    def __init__(self) -> None:
        self._digests: OrderedDict[FileKey, str] = OrderedDict()
        self.evicted = 0

    def resolve(self, subjects: tuple[Subject, ...]) -> tuple[ProcessDetail, ...]:
        """Details of processes, nearest first; runs in a worker thread.

        Only the first one is hashed: the ancestors' files are known to the baseline.
        """
        return tuple(
            self._detail(subject, is_hashed=number == 0) for number, subject in enumerate(subjects)
        )

    def _detail(self, subject: Subject, *, is_hashed: bool) -> ProcessDetail:
        start_ticks = _start_ticks(subject.pid)
        if start_ticks and _is_other(subject, began_s(start_ticks)):
            return ProcessDetail(subject.pid, 0, "", "", is_other=True)
        is_same = start_ticks > 0 and (
            subject.start_ticks == start_ticks
            or (not subject.start_ticks and _link(f"/proc/{subject.pid}/exe") == subject.image)
        )
        unit = unit_of(subject.pid) if is_same else ""
        path = f"/proc/{subject.pid}/exe" if is_same else subject.image
        digest = self.digest(path) if is_hashed else ""
        return ProcessDetail(subject.pid, start_ticks if is_same else 0, unit, digest)

    def digest(self, path: str) -> str:
        """SHA-256 of a file in hex, or "" when it cannot be read or is too large."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return ""
        try:
            return self._digest_of(fd)
        except OSError:
            return ""
        finally:
            os.close(fd)

    def _digest_of(self, fd: int) -> str:
        info = os.fstat(fd)
        if info.st_size > MAX_HASH_BYTES:
            return ""
        key = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        known = self._digests.get(key)
        if known is not None:
            self._digests.move_to_end(key)
            return known
        state = hashlib.sha256()
        left = MAX_HASH_BYTES
        while left > 0 and (block := os.read(fd, READ_BYTES)):
            state.update(block)
            left -= len(block)
        self._digests[key] = digest = state.hexdigest()
        if len(self._digests) > MAX_CACHED:
            self._digests.popitem(last=False)
            self.evicted += 1
        return digest


def _is_other(subject: Subject, began: float) -> bool:
    """Whether the pid's process of now, begun then, had it before the event that speaks of it."""
    if began >= subject.spoken_s - TICK_S or began + TICK_S <= subject.known_s:
        return False
    if began > subject.known_s + EARLY_S:
        return True
    # So close together the clocks cannot tell which came first; another program can.
    image = _link(f"/proc/{subject.pid}/exe")
    return bool(image) and image != subject.image.removesuffix(" (deleted)")


def _start_ticks(pid: int) -> int:
    try:
        return procfs.parse_stat(_read(f"/proc/{pid}/stat")).start_ticks
    except (OSError, ParseError):
        return 0


def unit_of(pid: int) -> str:
    """The unit of the service manager that a process belongs to, "" where there is none."""
    try:
        return procfs.parse_cgroup(_read(f"/proc/{pid}/cgroup"))
    except (OSError, ParseError):
        return ""


def _read(path: str, limit: int = 4096) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, limit)
    finally:
        os.close(fd)


def _link(path: str) -> str:
    try:
        return os.readlink(path).removesuffix(" (deleted)")  # noqa: PTH115 - hot
    except OSError:
        return ""
