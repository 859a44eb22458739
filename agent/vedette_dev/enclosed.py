"""`python -m vedette_dev.enclosed`: runs one command in a root and in namespaces of its own.

Rule 1: nothing that runs inside can change the host: its root is private, its user namespace gives
no capability over the host's kernel, what the host must not lose is mounted read-only *before* that
namespace is made, so that even its root cannot make it writable again (mount_namespaces(7)).
Rule 2: the process namespace ends with its first process, whatever was left in the background.
Rule 3: what to do comes by stdin, so that no command line but the command's own holds it; who
starts it reads one line on stdout: "ready" just before the command begins, or why not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import NoReturn

from vedette_dev import kernel_calls as kernel

READY = "ready"
MAX_IDS = 65_536
CANNOT_START = 125

_NULL = ("null", "zero", "full", "random", "urandom", "tty")
_READ_ONLY_PROC = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "driver")
_HIDDEN_PROC = ("kcore", "keys", "kmsg", "timer_list", "latency_stats", "sched_debug")
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_MAX_FILE_BYTES = 64 << 20
_PIPE_BYTES = 64 << 10
_POLL_S = 0.01


@dataclasses.dataclass(frozen=True, slots=True)
class Enclosed:
    """What is run where.

    Attributes:
        root: the folder that becomes `/`.
        host: its name inside.
        launcher: the program that is executed, a shell; it is given no arguments, so that what its
            name or its command line say cannot be taken for the command's.
        script: what the launcher reads on its stdin.
        environment: all of its environment.
        shown: host paths that are shown inside, read-only, as (path, path inside).
        layered: (lower, upper, work, path inside) of overlays: the lower folder with changes that
            go to the upper one.
        has_own_network: whether it gets a loopback of its own instead of the host's interfaces.
        lingers_s: how long what it left in the background may go on after it.
        cgroups: folders of control groups that it is put into.
    """

    root: str
    host: str
    launcher: str
    script: str
    environment: dict[str, str]
    shown: tuple[tuple[str, str], ...] = ()
    layered: tuple[tuple[str, str, str, str], ...] = ()
    has_own_network: bool = False
    lingers_s: float = 0.0
    cgroups: tuple[str, ...] = ()

    def text(self) -> str:
        """As the program reads it."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def read(cls, text: str) -> Enclosed:
        """The opposite of `text`."""
        given = json.loads(text)
        given["cgroups"] = tuple(given["cgroups"])
        for name in ("shown", "layered"):
            given[name] = tuple(tuple(entry) for entry in given[name])
        return cls(**given)


def main(spec: Enclosed) -> int:
    """Run it; the exit code is the command's, 128 + signal, or CANNOT_START."""
    kernel.die_with_parent()
    try:
        for group in spec.cgroups:
            (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
        is_root = os.geteuid() == 0
        _leave_host(is_root=is_root)
    except OSError as error:
        return _refuse(error)
    asks, answers = os.pipe(), os.pipe()
    first = os.fork()
    if first == 0:
        os.close(asks[0])
        os.close(answers[1])
        _run_first(spec, asks[1], answers[0], is_root=is_root)
    os.close(asks[1])
    os.close(answers[0])
    if os.read(asks[0], 1):
        _write_ids(first, MAX_IDS if is_root else 1)
        os.write(answers[1], b"!")
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF


def _leave_host(*, is_root: bool) -> None:
    if is_root:
        kernel.unshare(kernel.CLONE_NEWPID)
        return
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWPID | kernel.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _write_ids(pid: int, count: int) -> None:
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text(f"0 0 {count}")


def _run_first(spec: Enclosed, asks: int, answers: int, *, is_root: bool) -> NoReturn:
    """Process 1 of the namespace: prepares it, starts the command, collects orphans."""
    code = CANNOT_START
    try:
        kernel.die_with_parent()
        kernel.unshare(kernel.CLONE_NEWNS)
        _build(spec, is_root=is_root)
        network = kernel.CLONE_NEWNET if spec.has_own_network else 0
        # Not CLONE_NEWCGROUP: who owns that may mount control groups, and lift its own limits.
        others = kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | others | network)
        os.write(asks, b"?")
        os.read(answers, 1)  # without a map nothing below works, and says so
        socket.sethostname(spec.host)
        if spec.has_own_network:
            _raise_loopback()
        resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_FILE_BYTES, _MAX_FILE_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        code = _serve(spec)
    except OSError as error:
        code = _refuse(error)
    finally:
        os._exit(code)


def _build(spec: Enclosed, *, is_root: bool) -> None:
    """Mount what is seen inside, and make it the root."""
    root = Path(spec.root)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount(spec.root, spec.root, flags=kernel.MS_BIND)
    for source, inside in spec.shown:
        target = _place(root, inside, is_folder=Path(source).is_dir())
        if is_root:
            kernel.bind(source, target, is_read_only=True)
        else:  # a part of what root mounted together cannot be shown alone (mount_namespaces(7))
            kernel.mount(source, target, flags=kernel.MS_BIND | kernel.MS_REC)
    for lower, upper, work, inside in spec.layered:
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        target = _place(root, inside, is_folder=True)
        kernel.mount("overlay", target, "overlay", options=options)
    for name in _NULL:
        if Path("/dev", name).exists():
            kernel.bind(f"/dev/{name}", _place(root, f"dev/{name}", is_folder=False))
    _build_proc(root, is_root=is_root)
    kernel.enter_root(spec.root)


def _build_proc(root: Path, *, is_root: bool) -> None:
    proc = Path(_place(root, "proc", is_folder=True))
    guarded = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("proc", str(proc), "proc", guarded)
    if not is_root:
        return  # the kernel's settings are not this user's anyway
    for name in _READ_ONLY_PROC:
        if (proc / name).exists():
            kernel.bind(str(proc / name), str(proc / name), is_read_only=True)
    for name in _HIDDEN_PROC:
        if (proc / name).exists():
            kernel.bind("/dev/null", str(proc / name))


def _place(root: Path, inside: str, *, is_folder: bool) -> str:
    """A mount point below the root, made when it is missing."""
    target = root / inside.lstrip("/")
    if is_folder:
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    return str(target)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        request = struct.pack("16sH14x", b"lo", 0)
        found = fcntl.ioctl(asking, _SIOCGIFFLAGS, request)
        flags = struct.unpack_from("H", found, 16)[0] | _IFF_UP
        fcntl.ioctl(asking, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags))


def _serve(spec: Enclosed) -> int:
    """Start the command; returns its code when it ended and those it left had their time."""
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    command = os.fork()
    if command == 0:
        _become(spec)
    code, ends_s = -1, float("inf")
    while time.monotonic() < ends_s:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break  # nobody is left
        if pid == command:
            code = os.waitstatus_to_exitcode(status)
            ends_s = time.monotonic() + spec.lingers_s
        elif pid == 0:
            time.sleep(_POLL_S)
    return code if code >= 0 else 128 - code


def _become(spec: Enclosed) -> NoReturn:
    try:
        os.setsid()
        os.dup2(_piped(spec.script.encode()), 0)
        os.dup2(2, 1)  # what it says goes where its mistakes go; stdout is for "ready"
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        home = spec.environment.get("HOME", "/")
        with contextlib.suppress(OSError):
            os.chdir(home)
        os.execve(spec.launcher, [spec.launcher], spec.environment)  # noqa: S606 (its purpose)
    finally:
        os._exit(CANNOT_START)


def _piped(script: bytes) -> int:
    """The end of a pipe that holds a script: a file in memory would be an attack of its own."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, max(len(script), _PIPE_BYTES))
    os.write(writing, script)
    os.close(writing)
    return reading


def _refuse(error: OSError) -> int:
    sys.stdout.write(f"{error.strerror or error}\n")
    sys.stdout.flush()
    return CANNOT_START


if __name__ == "__main__":
    sys.exit(main(Enclosed.read(sys.stdin.read())))
