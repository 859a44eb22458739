"""What the measurements of the whole agent share: a run to measure, and its processes' figures."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.simulators.mounts import mounted
from tests.system._proc import children

from vedette.daemon.mounts import is_in_memory
from vedette.errors import DeviceError
from vedette_dev.session import Session
from vedette_dev.workbench import find_workbench

CALM_S = 10.0
CALM_TIMEOUT_S = 600.0
REPOSITORY = Path(__file__).parents[2]


class Usage(NamedTuple):
    """What a process has used since its start; see proc_pid_schedstat, proc_pid_io and
    proc_pid_stat(5)."""

    cpu_s: float
    wakeups: int
    bytes_written: int
    faults: int


@contextlib.contextmanager
def running_agent(*, is_recorded: bool = False) -> Iterator[Session]:
    """A development run in a folder on the disk of this clone, not in a tmpfs; its run folder is in
    one, as /run is on a device.

    What it is told is recorded in `watch.vrec` beside its `.dev` when asked for.
    """
    place = REPOSITORY / "build"
    place.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=place) as folder,
        _in_memory(find_workbench(Path(folder) / ".dev").passing),
        Session(
            Path(folder) / ".dev",
            lambda _: None,
            rules=REPOSITORY / "rules",
            record=Path(folder) / "watch.vrec" if is_recorded else None,
        ) as session,
    ):
        yield session


@contextlib.contextmanager
def _in_memory(folder: Path) -> Iterator[None]:
    """A tmpfs at a folder that is not there yet; as root, and where its parent lies on a disk."""
    if os.geteuid() != 0 or is_in_memory(folder.parent):
        yield
        return
    with mounted(folder, "mode=711"):
        yield
    folder.rmdir()


def parts(session: Session) -> dict[str, int]:
    """The resident processes by name."""
    keeper = session.agent.pid
    found = {"keeper": keeper}
    for pid, line in children(keeper).items():
        found["uplink" if "uplink" in line else "sentinel"] = pid
    for pid, line in children(found["sentinel"]).items():
        found[line.split(" ", 1)[0].rpartition("/")[2] or str(pid)] = pid
    return found


def await_calm(session: Session) -> None:
    """Wait until the short-lived helpers of the start (the first scan of all files) have ended.

    Raises:
        DeviceError: some still run after CALM_TIMEOUT_S.
    """
    ends_s = time.monotonic() + CALM_TIMEOUT_S
    calm_s = time.monotonic() + CALM_S
    while time.monotonic() < calm_s:
        if children(parts(session)["sentinel"]):
            calm_s = time.monotonic() + CALM_S
        if time.monotonic() > ends_s:
            running = children(parts(session)["sentinel"])
            raise DeviceError(f"expected the first scan to end in time, still running: {running}")
        time.sleep(0.5)


def memory_mb(pid: int) -> dict[str, float]:
    """Rss, Pss and Anonymous of a process (proc_pid_smaps_rollup) in MB of 2**20 bytes."""
    wanted = ("Rss", "Pss", "Anonymous")
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in wanted:
            found[name] = int(rest.split()[0]) / 1024
    return found


def usage(pid: int) -> Usage:
    """What a process and its threads have used."""
    cpu_ns = wakeups = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            cpu_ns += int((task / "schedstat").read_text().split()[0])
            wakeups += _number(task / "status", "voluntary_ctxt_switches")
    written = _number(Path(f"/proc/{pid}/io"), "write_bytes")
    return Usage(cpu_ns / 1e9, wakeups, written, _faults(pid))


def _faults(pid: int) -> int:
    """Page faults, minor and major (fields 10 and 12)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[7]) + int(fields[9])


def _number(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value)
    return 0
