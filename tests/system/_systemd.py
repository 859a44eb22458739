"""A real systemd in namespaces of its own: pid 1 of units that a test writes, and of nothing else.

Rule 1: it has a root of its own, in memory; of the host it sees /usr alone, read-only, and none of
the host's units: what a booting systemd does to a machine (it empties /tmp) it does there.
Rule 2: when it ends the kernel ends all it started (pid_namespaces(7)); its group is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.system._proc import children

SYSTEMD = Path("/lib/systemd/systemd")
DEADLINE_S = 20.0
UNIFIED = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))

_INSIDE = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=16m,mode=755 tmpfs "$1"
cd "$1"
mkdir -p usr proc sys/fs/cgroup dev etc var tmp run/systemd old
for name in bin sbin lib lib64; do cp -P "/$name" .; done
mount --bind /usr usr
mount -o remount,bind,ro usr
cp -r "$2" etc/units
for name in null zero full random urandom; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
    mount -o remount,bind,ro "dev/$name"
done
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
pivot_root . old
umount -l old
rmdir old
for name in work opt home root; do test ! -e "/$name"; done
exec {init}
"""
"""With SYSTEMD_UNIT_PATH none of the host's units is there to be pulled in: one of them empties
/tmp at each boot."""

_INIT = (
    "setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog "
    "env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/etc/units "
    f"SYSTEMD_GENERATOR_PATH=/nowhere {SYSTEMD} --system --unit=default.target "
    "--log-target=null --show-status=no"
)


class Systemd:
    """The running manager.

    Attributes:
        program: a systemctl that asks it.
    """

    def __init__(self, pid: int, program: Path) -> None:
        self._pid = pid
        self.program = program

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self._ask("show", f"--property={name}", "--value", "--", unit).stdout.strip()

    def do(self, verb: str, unit: str) -> None:
        """Have a unit started, stopped and the like, by hand."""
        self._ask(verb, "--", unit).check_returncode()

    def run(self, *argv: str) -> None:
        """Run a program where it runs."""
        enter = ["nsenter", "-t", str(self._pid), "-m", "-p", "-n"]
        subprocess.run([*enter, *argv], check=True, timeout=DEADLINE_S)

    def _ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *words], check=False, capture_output=True, text=True, timeout=DEADLINE_S
        )


@contextlib.contextmanager
def systemd(folder: Path, units: Mapping[str, str]) -> Iterator[Systemd]:
    """Run one with these unit files; skips where this machine can't.

    Args:
        folder: of the test.
        units: text by name; "default.target" is added.
    """
    if reason := refusal():
        pytest.skip(reason)
    written = folder / "units"
    written.mkdir(parents=True)
    for name, text in {"default.target": "[Unit]\nDescription=units of a test\n", **units}.items():
        # Their default dependencies are on units of a whole system, which is not there.
        (written / name).write_text(text.replace("[Unit]\n", "[Unit]\nDefaultDependencies=no\n"))
    root = folder / "root"
    root.mkdir()
    with cgroup(folder.name) as group:
        started = _start(group, root, written)
        try:
            yield _await_ready(started, folder)
        finally:
            started.send_signal(signal.SIGKILL)
            started.wait(DEADLINE_S)


@contextlib.contextmanager
def cgroup(name: str) -> Iterator[Path]:
    """A control group of its own; gone afterwards, when its processes have ended."""
    group = _hierarchy() / f"vedette-test-{os.getpid()}-{name[-20:]}"
    group.mkdir()
    try:
        yield group
    finally:
        _remove(group)


def refusal() -> str:
    """Why this machine can't run one, or ""."""
    if os.geteuid() != 0 or not SYSTEMD.exists() or not (_hierarchy() / "cgroup.procs").exists():
        return "needs root, systemd's program and a cgroup v2 hierarchy"
    if not all(Path(name).is_symlink() for name in ("/bin", "/sbin", "/lib", "/lib64")):
        return "needs a merged /usr: nothing else of the host is shown"
    return ""


def _hierarchy() -> Path:
    return next((path for path in UNIFIED if (path / "cgroup.procs").exists()), UNIFIED[-1])


def _start(group: Path, root: Path, units: Path) -> subprocess.Popen[bytes]:
    inside = _INSIDE.format(init=_INIT)
    joins = f'echo $$ >{group}/cgroup.procs && exec "$@"'
    namespaces = ["--cgroup", "--mount", "--ipc", "--uts", "--net", "--pid"]
    with (root.parent / "systemd.log").open("wb") as log:
        return subprocess.Popen(
            ["sh", "-c", joins, "sh", "unshare", *namespaces, "--fork", "--kill-child=SIGKILL",
             "sh", "-c", inside, "sh", root, units],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
        )  # fmt: skip


def _await_ready(started: subprocess.Popen[bytes], folder: Path) -> Systemd:
    ends_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < ends_s:
        log = (folder / "systemd.log").read_text("utf-8", "replace")
        assert started.poll() is None, f"systemd ended at its start: {log}"
        pid = next(iter(children(started.pid)), 0)
        if pid:
            running = Systemd(pid, _entering(pid, folder))
            if running.show("default.target", "ActiveState") == "active":
                return running
        time.sleep(0.05)
    raise AssertionError(f"systemd was not ready within {DEADLINE_S:g} s")


def _entering(pid: int, folder: Path) -> Path:
    program = folder / "systemctl"
    enters = shutil.which("nsenter") or "/usr/bin/nsenter"
    program.write_text(f'#!/bin/sh\nexec {enters} -t {pid} -m -p -n systemctl "$@"\n')
    program.chmod(0o755)
    return program


def _remove(group: Path) -> None:
    """Its processes have ended; the kernel lets go of their groups a moment later."""
    ends_s = time.monotonic() + DEADLINE_S
    while group.exists() and time.monotonic() < ends_s:
        for inner in sorted(group.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):
                inner.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()
    assert not group.exists(), f"{group} could not be removed"
