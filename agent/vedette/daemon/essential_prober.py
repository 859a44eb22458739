"""Probes essential functions once and ends: `python -I -m vedette.daemon.essential_prober REQUEST`.

The sentinel may not open internet sockets and must not wait for anybody's program; this child may.
REQUEST is codec/essential.py's; the report goes to standard output, one line for each function.

Rule 1: all are probed side by side, each within its time; one that fails is tried once more before
it is told as down, since a lost packet is no outage.
Rule 2: a command runs as its own user, in a session of its own that is killed whole at the end,
without a privilege, with little of everything (rlimits), and reads nothing.
Rule 3: it connects and says nothing: what listens is not disturbed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from vedette.codec.essential import decode_request, encode_report
from vedette.codec.procnet import parse_table
from vedette.codec.units import PROPERTIES, UnitState, parse_state
from vedette.daemon import privileges
from vedette.errors import ConfigError, DeviceError, ParseError
from vedette.model.essential import EssentialFunction, Probed

TRIES = 2
PAUSE_S = 0.3
"""Before the second try."""
GRACE_S = 2.0
MAX_SAID_BYTES = 4096
MAX_COMMAND_BYTES = 512 << 20
SYSTEMCTL = ("/usr/bin/systemctl", "/bin/systemctl")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

_LISTEN = 10  # enum in linux/net/tcp_states.h


class DownError(Exception):
    """A function does not work; its words say what was seen."""


def main(request: str) -> int:
    """Probe and report; returns the exit status."""
    functions = decode_request(request)
    signal.alarm(int(max(one.timeout_s for one in functions) * TRIES + GRACE_S))
    if os.geteuid() == 0:
        privileges.drop_to(frozenset({"setuid", "setgid", "kill", "sys_ptrace"}))
    os.write(1, encode_report(probe_all(functions)))
    return 0


def probe_all(functions: Sequence[EssentialFunction]) -> list[Probed]:
    """Probe them side by side; the results are in the order of the functions."""
    found: dict[str, Probed] = {}

    def work(one: EssentialFunction) -> None:
        found[one.name] = probe(one)

    threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[one.name] for one in functions]


def probe(one: EssentialFunction) -> Probed:
    """Probe one function, twice when it seems to be down."""
    detail = ""
    for number in range(TRIES):
        if number:
            time.sleep(PAUSE_S)
        try:
            said, pids = _look(one, time.monotonic() + one.timeout_s)
        except DownError as error:
            detail = str(error)
        except (OSError, DeviceError, ConfigError, ParseError) as error:
            detail = f"it could not be probed: {error}"
        else:
            return Probed(one.name, True, said, pids)
    return Probed(one.name, False, detail, ())


def _look(one: EssentialFunction, ends_s: float) -> tuple[str, tuple[int, ...]]:
    """What holds, and who does the work; DownError for the first thing that does not."""
    said, pids = [], set[int]()
    if one.unit:
        state = unit_state(one.unit, ends_s - time.monotonic())
        if not state.is_up:
            raise DownError(f"{one.unit} is {state.active} ({state.sub}), {state.load}")
        said.append(f"{one.unit} is {state.active}")
        pids |= {state.main_pid} - {0}
    if one.port:
        connect(one.address, one.port, ends_s - time.monotonic())
        said.append(f"{one.address} port {one.port} takes connections")
        pids |= set(owners(one.port))
    if one.file:
        look_at(one.file)
        said.append(f"{one.file} is there")
    if one.command:
        run_command(one, ends_s - time.monotonic())
        said.append(f"{one.command[0]} ended with 0")
    return "; ".join(said), tuple(sorted(pids))


def unit_state(unit: str, timeout_s: float) -> UnitState:
    """A unit as systemd has it.

    Raises:
        DownError: systemd does not answer, or is not there.
        ParseError: it answers nonsense.
    """
    program = next((path for path in SYSTEMCTL if os.access(path, os.X_OK)), "")
    if not program:
        raise DownError("there is no systemctl: declare a port or a command instead of a unit")
    argv = [program, "--no-pager", "show", f"--property={','.join(PROPERTIES)}", "--", unit]
    try:
        ran = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=ENVIRONMENT, timeout=max(timeout_s, 0.1), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DownError("systemd does not answer") from error
    text = ran.stdout.decode("utf-8", "replace")
    if ran.returncode:
        raise DownError(f"systemctl left with {ran.returncode}: {text.strip()[-200:]}")
    return parse_state(text)


def connect(address: str, port: int, timeout_s: float) -> None:
    """Connect and hang up.

    Raises:
        DownError: nobody takes the connection in time.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(max(timeout_s, 0.1))
        try:
            client.connect((address, port))
        except TimeoutError as error:
            raise DownError(f"{address} port {port} does not answer in time") from error
        except OSError as error:
            raise DownError(f"{address} port {port}: {error.strerror or error}") from error


def look_at(path: str) -> None:
    """See whether something is there.

    Raises:
        DownError: it is not, or is an empty file.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - one call
    except OSError as error:
        raise DownError(f"{path}: {error.strerror}") from error
    if stat.S_ISREG(found.st_mode) and not found.st_size:
        raise DownError(f"{path} is empty")


def owners(port: int) -> Iterator[int]:
    """The processes that listen on a TCP port of this host, as far as they can be seen."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError, ParseError), open(table, "rb") as stream:  # noqa: PTH123
            inodes |= {
                f"socket:[{record.inode}]"
                for record in parse_table(stream.read(), sys.byteorder)
                if record.state == _LISTEN and record.local_port == port
            }
    if not inodes:
        return
    for name in os.listdir("/proc"):  # noqa: PTH208 - thousands of Paths cost more than the work
        if name.isdigit() and _holds(f"/proc/{name}/fd", inodes):
            yield int(name)


def _holds(folder: str, inodes: set[str]) -> bool:
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208
            with contextlib.suppress(OSError):
                if os.readlink(f"{folder}/{name}") in inodes:  # noqa: PTH115
                    return True
    return False


def run_command(one: EssentialFunction, timeout_s: float) -> None:
    """Run a function's command to its end.

    Raises:
        DownError: it does not end with 0 in time.
        ConfigError, OSError: it cannot be started as its user.
    """
    with _started(one, int(timeout_s) + 1) as process:
        try:
            output, _ = process.communicate(timeout=max(timeout_s, 0.1))
        except subprocess.TimeoutExpired as error:
            raise DownError(f"{one.command[0]} did not end in time") from error
    if process.returncode:
        lines = output[-MAX_SAID_BYTES:].decode("utf-8", "replace").strip().split("\n")
        raise DownError(f"{one.command[0]} ended with {process.returncode}: {lines[-1][:200]}")


@contextlib.contextmanager
def _started(one: EssentialFunction, cpu_s: int) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a session of its own, of which nothing is left afterwards."""
    uid, gid, groups = privileges.account(one.user)
    is_root = os.geteuid() == 0
    process = subprocess.Popen(
        one.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd="/", env=ENVIRONMENT, start_new_session=True,
        user=uid if is_root else None, group=gid if is_root else None,
        extra_groups=groups if is_root else None,
    )  # fmt: skip
    for kind, most in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, MAX_COMMAND_BYTES),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_FSIZE, 1 << 20),
    ):
        with contextlib.suppress(OSError):  # it may have ended already
            resource.prlimit(process.pid, kind, (most, most))
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.communicate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
