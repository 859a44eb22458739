"""A throwaway Debian with its own systemd as pid 1, to install packages into.

Rule 1: its root is in memory, in namespaces of its own: of this machine it shares the kernel, and
neither a file, a process, a network nor a unit.
Rule 2: when it ends the kernel ends all it started (pid_namespaces(7)); its group is removed.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from tests.system._proc import children
from tests.system._systemd import cgroup, refusal

from vedette.errors import DeviceError
from vedette_dev import base_root, cache

PACKAGES = (
    "busybox-static", "dbus", "init-system-helpers", "iproute2", "kmod", "libbpf1", "libcap2-bin",
    "mosquitto", "mosquitto-clients", "nftables", "procps", "python3", "python3-psutil", "systemd",
    "systemd-sysv",
)  # fmt: skip
"""What the package depends on, a broker, and what a person looks around with."""
DEADLINE_S = 60.0
MASKED = ("e2scrub_reap.service", "mosquitto.service", "systemd-timesyncd.service")

_INSIDE = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=900m,mode=755 tmpfs "$1"
tar -C "$1" -xf "$2"
cd "$1"
mkdir -p old packages
mount --bind "$3" packages
mount -o remount,bind,ro packages
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/shm dev/pts dev/mqueue
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
for name in null zero full random urandom tty; do
    touch "dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
ln -s /proc/self/fd dev/fd
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
for unit in $4; do ln -sf /dev/null "etc/systemd/system/$unit"; done
echo 0123456789abcdef0123456789abcdef > etc/machine-id
ip link set lo up
pivot_root . old
umount -l old
rmdir old
for name in work opt/wt; do test ! -e "/$name"; done
exec setpriv --bounding-set=-sys_time,-sys_rawio,-syslog \\
    env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=null --show-status=no
"""

T = TypeVar("T")


class Machine:
    """The running machine.

    Attributes:
        packages: what it is shown as /packages.
    """

    def __init__(self, enter: Sequence[str], packages: Path, pid: int = 0) -> None:
        """Nothing happens yet.

        Args:
            enter: the command that runs another one there.
            packages: what it is shown.
            pid: its first process as we number it, where we may look at that; else 0.
        """
        self._enter, self._pid = enter, pid
        self.packages = packages

    def run(self, *argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        """Run a program there; what it says on both outputs is in `stdout`."""
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"]
        ran = subprocess.run(
            [*self._enter, *clean, *argv], input=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=DEADLINE_S, check=False, cwd="/",
        )  # fmt: skip
        said = ran.stdout.decode("utf-8", "replace")
        return subprocess.CompletedProcess(argv, ran.returncode, said)

    def check(self, *argv: str, stdin: bytes = b"") -> str:
        """What a program says that has to succeed."""
        ran = self.run(*argv, stdin=stdin)
        assert ran.returncode == 0, f"{argv} left with {ran.returncode}:\n{ran.stdout}"
        return ran.stdout

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Put a file there."""
        self.check("install", "-D", "-m", f"{mode:o}", "/dev/stdin", path, stdin=data)

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.check("systemctl", "show", f"--property={name}", "--value", unit).strip()

    def pid_here(self, pid: int) -> int:
        """A process of the machine by its number in this test's namespace; 0 if it is gone."""
        ours = _namespace(self._pid)
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                text = status.read_text()
                numbers = text.partition("NSpid:")[2].partition("\n")[0].split()
                if _namespace(int(status.parent.name)) == ours and numbers[-1:] == [str(pid)]:
                    return int(status.parent.name)
        return 0

    def until(self, look: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S) -> T:
        """Look again until there is something."""
        ends_s = time.monotonic() + deadline_s
        while time.monotonic() < ends_s:
            if found := look():
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited {deadline_s:g} s for {what}\n{self.journal()}")

    def journal(self) -> str:
        """The end of what its services said."""
        return self.run("journalctl", "-n", "60", "--no-pager", "-o", "cat").stdout


@contextlib.contextmanager
def machine(folder: Path, packages: Path) -> Iterator[Machine]:
    """Boot one; skips where this machine can't.

    Args:
        folder: of the test.
        packages: shown there as /packages.
    """
    if reason := refusal() or base_root.refusal():
        pytest.skip(reason)
    tar = base()
    root = folder / "root"
    root.mkdir()
    log = folder / "systemd.log"
    with cgroup(folder.name) as group:
        started = _start(group, (root, tar, packages), log)
        try:
            yield _await_up(started, packages, log)
        finally:
            started.send_signal(signal.SIGKILL)
            started.wait(DEADLINE_S)


def base() -> Path:
    """Its root file system in one file, made once; skips where that cannot be done."""
    inputs = " ".join((*PACKAGES, base_root.suite())).encode()
    try:
        return cache.cached("test-machine", inputs, _bootstrap) / "root.tar"
    except DeviceError as error:
        pytest.skip(f"no Debian to install into: {error}")


def _bootstrap(into: Path) -> None:
    base_root.bootstrap(into / "root.tar", PACKAGES, into / "mmdebstrap.log")


def _start(group: Path, folders: tuple[Path, Path, Path], log: Path) -> subprocess.Popen[bytes]:
    joins = f'echo $$ >{group}/cgroup.procs && exec "$@"'
    namespaces = ["--cgroup", "--mount", "--ipc", "--uts", "--net", "--pid"]
    with log.open("wb") as stream:
        return subprocess.Popen(
            ["sh", "-c", joins, "sh", "unshare", *namespaces, "--fork", "--kill-child=SIGKILL",
             "sh", "-c", _INSIDE, "sh", *map(str, folders), " ".join(MASKED)],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
        )  # fmt: skip


def _await_up(started: subprocess.Popen[bytes], packages: Path, log: Path) -> Machine:
    def ended() -> str:
        said = log.read_text("utf-8", "replace")
        return f"it ended at its start: {said}" if started.poll() is not None else ""

    pid = _until(lambda: next(iter(children(started.pid)), 0), ended)
    enter = ("nsenter", "-t", str(pid), "-m", "-p", "-n", "-i", "-u", "-C")
    return await_up(Machine(enter, packages, pid), ended)


def await_up(machine: Machine, ended: Callable[[], str]) -> Machine:
    """Wait until its service manager has started what it starts.

    Args:
        machine: one that was begun.
        ended: why there is nothing to wait for any more, or "".
    """

    def is_up() -> bool:
        state = machine.run("systemctl", "is-system-running").stdout.strip()
        return state in {"running", "degraded"}

    _until(is_up, ended)
    return machine


def _until(look: Callable[[], T], ended: Callable[[], str]) -> T:
    ends_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < ends_s:
        if why := ended():
            raise AssertionError(why)
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"it was not up within {DEADLINE_S:g} s")


def _namespace(pid: int) -> int:
    return Path(f"/proc/{pid}/ns/pid").stat().st_ino
