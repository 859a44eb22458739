"""Holds processes in control groups of their own that are frozen (cgroups(7), cgroup-v2, freezer).

Rule 1: a process is moved into a group below its own one, so the kernel itself keeps where it came
from, limits go on to count, and what is born inside goes back to where its parent came from.
Rule 2: the group is frozen before anybody is moved: who is moved runs no further, and a child is
either there to be listed when the move is over, or born inside (cgroup_threadgroup_rwsem).
Rule 3: whom the kernel does not let us move (a threaded group, a limit) is held by signals instead.
Rule 4: no file of ours says what we did: a group's name is PREFIX and the response's id, so what a
killed agent left is found by looking.
Rule 5: version 2 before version 1, in which a frozen process cannot even be killed.

The first move takes 14 ms (it waits for an RCU grace period), further ones 0.05.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from vedette.codec.mountinfo import parse_mounts
from vedette.codec.procfs import cgroup_in
from vedette.errors import ParseError
from vedette.responses._process_handle import ProcessHandle, read_stat
from vedette.responses._stop_signals import StopSignals

PREFIX: Final = "vedette-held-"
_MEMBERS: Final = "cgroup.procs"
_MOUNTS: Final = Path("/proc/self/mountinfo")
_MAX_CGROUP_BYTES: Final = 1 << 14
_MAX_DEPTH: Final = 32
_PAUSE_S: Final = 0.0005
_MOVE_S: Final = 3.0
_REMOVE_S: Final = 0.5
"""How long a group may be busy with processes that are ending."""


class Hierarchy(NamedTuple):
    """A mounted hierarchy that can freeze, and how it is told to."""

    point: str
    controller: str
    file: str
    frozen: bytes
    thawed: bytes

    @property
    def is_killable(self) -> bool:
        """Whether SIGKILL reaches who is frozen: in version 2."""
        return not self.controller


def hierarchies() -> list[Hierarchy]:
    """Those of this mount namespace that can be written to, best first."""
    try:
        mounts = parse_mounts(_MOUNTS.read_bytes())
    except (OSError, ParseError):
        return []
    second = [
        Hierarchy(mount.point, "", "cgroup.freeze", b"1", b"0")
        for mount in mounts
        if mount.kind == "cgroup2" and not mount.is_read_only
    ]
    first = [
        Hierarchy(mount.point, "freezer", "freezer.state", b"FROZEN", b"THAWED")
        for mount in mounts
        if mount.kind == "cgroup" and "freezer" in mount.options.split(",")
        if not mount.is_read_only
    ]
    return second + first


class Freezer:
    """A brake (_process_tree.Brake): frozen groups of one name in one hierarchy.

    Attributes:
        refused: pids whom the kernel did not let us move; `otherwise` holds them.
    """

    def __init__(self, hierarchy: Hierarchy, name: str, otherwise: StopSignals) -> None:
        self.hierarchy = hierarchy
        self._name = PREFIX + name
        self._otherwise = otherwise
        self._groups: dict[str, str] = {}
        self.refused: set[int] = set()

    def hold(self, process: ProcessHandle) -> None:
        """Move it into a frozen group below its own."""
        group = group_of(process.pid, self.hierarchy)
        if process.has_ended():
            return
        try:
            if group and not self._is_ours(group):
                write(f"{self._folder(group)}/{_MEMBERS}", b"%d" % process.pid)
        except ProcessLookupError:
            return
        except OSError:
            group = ""
        if not group:
            self.refused.add(process.pid)
            self._otherwise.hold(process)
        elif process.has_ended():
            self._put_back(process, group)

    def is_held(self, process: ProcessHandle) -> bool:
        """True at once: what was born before the move is there to be listed."""
        return process.pid not in self.refused or self._otherwise.is_held(process)

    def wait_frozen(self, until_s: float) -> bool:
        """Wait until all members run no further; False where some do not (uninterruptible sleep).

        Args:
            until_s: by time.monotonic().
        """
        while not all(is_frozen(folder, self.hierarchy) for folder in self._groups.values()):
            if time.monotonic() >= until_s:
                return False
            time.sleep(_PAUSE_S)
        return True

    def members(self) -> list[int]:
        """Who is inside now, also those that were born there."""
        return [pid for folder in self._groups.values() for pid in members(folder)]

    def kill(self) -> None:
        """Kill all at once where the kernel can (Linux 5.14); the caller sends signals too."""
        for folder in self._groups.values():
            with contextlib.suppress(OSError):
                write(f"{folder}/cgroup.kill", b"1")

    def thaw(self) -> None:
        """Let all inside go on: in version 1 the frozen cannot even die."""
        for folder in self._groups.values():
            with contextlib.suppress(OSError):
                write(f"{folder}/{self.hierarchy.file}", self.hierarchy.thawed)

    def dissolve(self) -> None:
        """Give everybody back to where they came from, and remove the groups."""
        for folder in self._groups.values():
            dissolve(folder, self.hierarchy)
        self._groups.clear()

    def _is_ours(self, group: str) -> bool:
        """Whether it is in our group already; a killed agent may have left it there."""
        if group.rpartition("/")[2] != self._name:
            return False
        origin = group.rpartition("/")[0]
        self._folder(origin or "/")
        return True

    def _folder(self, origin: str) -> str:
        known = self._groups.get(origin)
        if known is not None:
            return known
        folder = f"{self.hierarchy.point}{origin.rstrip('/')}/{self._name}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o755)  # noqa: PTH102 - hot
        self._groups[origin] = folder
        write(f"{folder}/{self.hierarchy.file}", self.hierarchy.frozen)
        return folder

    def _put_back(self, process: ProcessHandle, origin: str) -> None:
        """It ended while its number was written: whoever has the number now is not meant."""
        stat = read_stat(process.pid)
        if stat is None or process.is_same(stat.start_ticks):
            return
        with contextlib.suppress(OSError):
            write(f"{self.hierarchy.point}{origin}/{_MEMBERS}", b"%d" % process.pid)


def first_usable(name: str, otherwise: StopSignals) -> Freezer | None:
    """A freezer in the best hierarchy, None where there is none."""
    found = hierarchies()
    return Freezer(found[0], name, otherwise) if found else None


def dissolve(folder: str, hierarchy: Hierarchy) -> bool:
    """Move who is in a group up to the one above, which thaws them, and remove it.

    A group of ours above that was let go while this one was below is removed with it.

    Returns:
        Whether it is gone.
    """
    above = folder.rpartition("/")[0]
    while _is_let_go(above, hierarchy):
        above = above.rpartition("/")[0]
    _move_all(folder, above)
    with contextlib.suppress(OSError):
        write(f"{folder}/{hierarchy.file}", hierarchy.thawed)  # where one below has to stay
    is_gone = remove(folder)
    while is_gone and (parent := folder.rpartition("/")[0]) != above:
        folder = parent
        remove(folder)
    return is_gone


def free_killed(processes: Iterable[ProcessHandle]) -> None:
    """Take processes that were killed out of groups of version 1 in which they are frozen.

    They have a signal that they cannot refuse, so they run no instruction before they end.
    """
    for hierarchy in hierarchies():
        if not hierarchy.is_killable:
            for process in processes:
                with contextlib.suppress(OSError):
                    write(f"{hierarchy.point}/{_MEMBERS}", b"%d" % process.pid)


def group_of(pid: int, hierarchy: Hierarchy) -> str:
    """The path of the group that a process is in, "" where it is out of our sight."""
    try:
        descriptor = os.open(f"/proc/{pid}/cgroup", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        path = cgroup_in(os.read(descriptor, _MAX_CGROUP_BYTES), hierarchy.controller)
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    return "" if path.startswith("/..") else path


def is_frozen(folder: str, hierarchy: Hierarchy) -> bool:
    """Whether nobody in a group runs any more."""
    if hierarchy.is_killable:
        return b"frozen 1" in _content(f"{folder}/cgroup.events")
    return _content(f"{folder}/{hierarchy.file}").strip() == hierarchy.frozen


def is_held_by(name: str, pid: int, hierarchy: Hierarchy) -> bool:
    """Whether a process is in a group of this name, or below it, that is told to freeze."""
    group = group_of(pid, hierarchy)
    before, mark, _ = f"{group}/".partition(f"/{PREFIX}{name}/")
    folder = f"{hierarchy.point}{before}{mark.rstrip('/')}"
    return bool(mark) and is_told_to_freeze(folder, hierarchy)


def is_told_to_freeze(folder: str, hierarchy: Hierarchy) -> bool:
    """Whether a group itself is to be frozen, not only one above it."""
    if hierarchy.is_killable:
        return _content(f"{folder}/{hierarchy.file}").strip() == hierarchy.frozen
    return _content(f"{folder}/freezer.self_freezing").strip() == b"1"


def members(folder: str) -> list[int]:
    """Who is in a group, not counting those below."""
    return [int(word) for word in _content(f"{folder}/{_MEMBERS}").split()]


def remove(folder: str) -> bool:
    """Remove an empty group; False where somebody, or another group, is still in it."""
    until_s = time.monotonic() + _REMOVE_S
    while True:
        try:
            os.rmdir(folder)  # noqa: PTH106 - a Path costs more than the call
        except FileNotFoundError:
            return True
        except OSError:
            if time.monotonic() >= until_s or any(_subgroups(folder)):
                return False
            time.sleep(_PAUSE_S)
        else:
            return True


def groups_named(name: str, hierarchy: Hierarchy) -> Iterator[str]:
    """The folders of all groups of this name, the deepest first."""
    yield from _below(hierarchy.point, PREFIX + name, _MAX_DEPTH)


def _is_let_go(folder: str, hierarchy: Hierarchy) -> bool:
    is_ours = folder.rpartition("/")[2].startswith(PREFIX)
    return is_ours and not is_told_to_freeze(folder, hierarchy)


def _move_all(folder: str, target: str) -> None:
    """Until nobody is inside: they are frozen, so that nobody is born meanwhile."""
    until_s = time.monotonic() + _MOVE_S
    while (inside := members(folder)) and time.monotonic() < until_s:
        for pid in inside:
            with contextlib.suppress(OSError):  # it has ended
                write(f"{target}/{_MEMBERS}", b"%d" % pid)


def _below(folder: str, name: str, depth: int) -> Iterator[str]:
    for below in _subgroups(folder) if depth else ():
        yield from _below(below, name, depth - 1)
        if below.rpartition("/")[2] == name:
            yield below


def _subgroups(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def write(path: str, data: bytes) -> None:
    """Write a control file at once, which is how the kernel takes it.

    Raises:
        OSError: it was refused.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
