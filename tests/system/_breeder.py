"""Builds and starts tests/simulators/breeder.c, bounded and in a process namespace of its own."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from tests.contract.scenes._processes import awaited, started, stat_of

from vedette.model.process import ProcessKey
from vedette.model.response import Mode, Order, ProcessTarget
from vedette_dev import cgroups

SOURCE: Final = Path(__file__).parent.parent / "simulators" / "breeder.c"
LAUNCH: Final = (
    'echo $$ >"$0/cgroup.procs"; echo $$ >"$1/cgroup.procs"; shift; '
    '"$@" & trap "" CHLD; exec tail -f /dev/null'
)
"""An init that stays and lets its children go, with no need to fork where no one may."""


def build(folder: Path) -> Path:
    """Compile it under a name of its own; the test is skipped where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip(f"needs a C compiler for {SOURCE.name}: apt-get install gcc")
    program = folder / f"breeder-{secrets.token_hex(4)}"
    subprocess.run([compiler, "-O1", "-o", program, SOURCE, "-lpthread"], check=True)
    return program


class Bred(NamedTuple):
    """The breeder's first process, and all of its program."""

    program: Path
    pid: int
    groups: tuple[str, ...]

    def target(self, kin: tuple[int, ...] = ()) -> ProcessTarget:
        keys = tuple(ProcessKey(pid, started(pid)) for pid in kin)
        return ProcessTarget(ProcessKey(self.pid, started(self.pid)), str(self.program), kin=keys)

    def living(self) -> list[int]:
        """All that run the program, whosever children they are."""
        names = [path.name for path in Path("/proc").iterdir()]
        return [int(name) for name in names if name.isdecimal() and runs(int(name), self.program)]


def runs(pid: int, program: Path) -> bool:
    stat = stat_of(pid)
    if stat is None or stat.name != program.name[:15]:
        return False
    tasks = Path(f"/proc/{pid}/task")
    with contextlib.suppress(OSError):
        return stat.state not in "ZX" or len(list(tasks.iterdir())) > 1
    return False


@contextlib.contextmanager
def bred(program: Path, mode: str, *, count: int = 1) -> Iterator[Bred]:
    """Run the breeder below an init of its own, with at most cgroups.MAX_PROCESSES processes.

    Args:
        program: as `build` made it.
        mode: see the source.
        count: how many there must be before it goes on.
    """
    with cgroups.limited(secrets.token_hex(4)) as groups:
        if len(groups) == 0:
            pytest.skip("cannot bound it: this user may make no control groups")
        pair = (groups[0], groups[-1])
        words = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", LAUNCH, *pair]
        process = subprocess.Popen(
            [*words, str(program), mode], stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            found = Bred(program, first(program), groups)
            awaited(lambda: len(found.living()) >= count)
            yield found
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            awaited(lambda: not found_in(groups))


def first(program: Path) -> int:
    """The oldest process of the program."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return min((pid for pid in pids if runs(pid, program)), key=started)


def found_in(groups: tuple[str, ...]) -> list[str]:
    return [pid for group in groups for pid in Path(group, "cgroup.procs").read_text().split()]


def order(responder: str, target: ProcessTarget) -> Order:
    return Order(secrets.token_hex(8), responder, target, Mode.ENFORCE, "test", "1", "test", 600.0)
