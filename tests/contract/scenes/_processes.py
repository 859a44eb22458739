"""A small tree of processes of the test's own, two of which answer when they run."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.contract.scenes.scene import Scene

from vedette.codec.procfs import Stat, parse_stat
from vedette.errors import ParseError
from vedette.model.process import ProcessKey
from vedette.model.response import ProcessTarget

SCRIPT: Final = "setsid cat <asked >answered & sleep 1000 & cat"
"""The shell, one in a session of its own, one that sleeps, and one in the foreground."""
SIZE: Final = 4
PATIENCE_S: Final = 10.0
SILENT_S: Final = 0.15
LAST_PID: Final = Path("/proc/sys/kernel/ns_last_pid")


class ProcessScene(Scene):
    """The tree of SCRIPT."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for name in ("asked", "answered"):
            os.mkfifo(folder / name)
        self._ends = [os.open(folder / name, os.O_RDWR) for name in ("asked", "answered")]
        self._root = subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._root.stdin is not None
        assert self._root.stdout is not None
        self._talks = [
            (self._root.stdin.fileno(), self._root.stdout.fileno()),
            (self._ends[0], self._ends[1]),
        ]
        awaited(lambda: len(descendants(self._root.pid)) == SIZE - 1 and self.answers() == [1, 1])
        pids = [self._root.pid, *descendants(self._root.pid)]
        self.tree = {pid: started(pid) for pid in pids}
        self._replacement: subprocess.Popen[bytes] | None = None

    @classmethod
    def refusal(cls) -> str:
        return "" if os.geteuid() == 0 else "needs root"

    def target(self) -> ProcessTarget:
        return ProcessTarget(ProcessKey(self._root.pid, self.tree[self._root.pid]), "/bin/sh")

    def state(self) -> object:
        awaited(lambda: not any(self._stat(pid) in {"R", "D"} for pid in self.tree))
        return {pid: (self._stat(pid), group(pid)) for pid in self.tree}

    def untouchable_pids(self) -> frozenset[int]:
        return frozenset({self._root.pid})

    def answers(self) -> list[bool]:
        """Which of the two that answer do so now."""
        return [answers(asked, answered) for asked, answered in self._talks]

    def is_over(self) -> bool:
        """Whether all of the tree have ended."""
        return all(self._stat(pid) in {"", "Z", "X"} for pid in self.tree)

    def vanish(self) -> bool:
        for pid in self.tree:
            if self._stat(pid) not in {"", "Z", "X"}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        awaited(self.is_over)
        self._root.wait()
        return True

    def replace(self) -> bool:
        self.vanish()
        ended = self.tree[self._root.pid]
        self._replacement = process_of_pid(self._root.pid)
        awaited(lambda: state_of(self._root.pid) == "S")
        assert started(self._root.pid) != ended
        return True

    def is_replacement_untouched(self) -> bool:
        assert self._replacement is not None
        pid = self._replacement.pid
        return state_of(pid) == "S" and group(pid) == group(os.getpid())

    def close(self) -> None:
        self.vanish()
        for end in self._ends:
            os.close(end)
        for stream in (self._root.stdin, self._root.stdout):
            assert stream is not None
            stream.close()
        if self._replacement is not None:
            self._replacement.kill()
            self._replacement.wait()

    def _stat(self, pid: int) -> str:
        stat = stat_of(pid)
        return stat.state if stat is not None and stat.start_ticks == self.tree[pid] else ""


def answers(asked: int, answered: int) -> bool:
    """Whether what is written at one end comes out at the other within SILENT_S."""
    token = os.urandom(8).hex().encode() + b"\n"
    os.write(asked, token)
    got = b""
    until_s = time.monotonic() + SILENT_S
    while token not in got:
        ready, _, _ = select.select([answered], [], [], max(0.0, until_s - time.monotonic()))
        if not ready:
            return False
        got += os.read(answered, 4096)
    return True


def process_of_pid(pid: int) -> subprocess.Popen[bytes]:
    """A new process that has this very number, in another tick than any before."""
    at_s = time.monotonic()
    until_s = at_s + PATIENCE_S
    while time.monotonic() < until_s:
        if time.monotonic() - at_s < 2 / os.sysconf("SC_CLK_TCK"):
            continue  # condition: the clock of start times has gone on
        LAST_PID.write_text(str(pid - 1))
        process = subprocess.Popen(["sleep", "1000"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"nobody got the pid {pid} in {PATIENCE_S} s")


def awaited(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Wait until something is so."""
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, "it did not come to be"
        os.sched_yield()


def descendants(pid: int) -> list[int]:
    """All that descend from a process now, those of the dead not counted."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found


def stat_of(pid: int) -> Stat | None:
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_bytes())
    except (OSError, ParseError):
        return None


def state_of(pid: int) -> str:
    stat = stat_of(pid)
    return "" if stat is None else stat.state


def started(pid: int) -> int:
    stat = stat_of(pid)
    assert stat is not None, f"process {pid} has ended"
    return stat.start_ticks


def group(pid: int) -> str:
    """The control groups a process is in, "" when it has ended."""
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""
