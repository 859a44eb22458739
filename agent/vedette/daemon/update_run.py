"""One update: an updater that fetches and an installer that verifies and applies, and nothing else.

Rule 1: one at a time on a device: a lock that ends with whoever holds it.
Rule 2: the two share a pair of sockets and nothing more; both end with this process.
Rule 3: the updater is another user where this is root, and can write in its own cache alone.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, NamedTuple

from vedette.daemon import control_client, privileges
from vedette.daemon.config import Config
from vedette.daemon.control_client import NotRunningError
from vedette.errors import DeviceError, RequestError
from vedette.store import durable

LOCK: Final = "lock"
UPDATER_TIMEOUT_S: Final = 10.0
"""What the updater has to end in when the installer has left it."""
MAX_BY: Final = 200
WAIT_S: Final = 30.0
"""For an update under way, where a person waits."""
LOOK_S: Final = 0.1
PATIENT: Final = frozenset({"schedule", "boot"})
"""Who comes again by itself does not wait."""


class Wanted(NamedTuple):
    """What an update is for.

    Attributes:
        by: who wants it: "schedule", "control", "boot" or a command's origin.
        source: a folder, an archive or a URL instead of the configured one; "" for that; None
            fetches nothing: only what was left open is done.
        is_look: apply nothing.
        is_urgent: neither a rollout, nor a window, nor an earlier refusal counts.
        kinds: of releases; empty: all that the configuration takes.
    """

    by: str
    source: str | None = ""
    is_look: bool = False
    is_urgent: bool = False
    kinds: tuple[str, ...] = ()


def run(config: Config, config_path: Path, wanted: Wanted, on_line: Callable[[str], None]) -> int:
    """Update once.

    Args:
        config: of this device.
        config_path: of its file, which the installer reads for itself.
        wanted: what for.
        on_line: takes each step, as a line of JSON (codec/update_report.py, and "recorded").

    Returns:
        The installer's exit code: 0 where all went as it should.

    Raises:
        RequestError: no source is configured and none was given, or another update runs.
        DeviceError: a process could not be started.
    """
    source = wanted.source
    if source == "":
        source = config.updates.source
        if not source:
            raise RequestError("no source of releases: name one in [updates] source, or give one")
    with alone(config, wanted.by):
        if source is None:
            return _install(config_path, wanted, None, on_line)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours, _updater(config, source, wanted.by, theirs):
            code = _install(config_path, wanted, ours, on_line)
            if code == 0:
                with suppress(OSError):  # the schedule looks less often then, that is all
                    config.update_reached.touch(0o600)
            return code


def _locked(descriptor: int, wait_s: float) -> bool:
    ends_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= ends_s:
                return False
            time.sleep(LOOK_S)
        else:
            return True


def announce(config: Config, by: str, pid: int) -> None:
    """Let the sentinel know a process of an update before it writes: it guards our folders.

    Raises:
        RequestError: the sentinel's journal does not take it; nothing may be applied then.
    """
    with suppress(NotRunningError):
        control_client.ask(config.control_socket, "update.begin", {"pids": [pid], "by": by})


@contextmanager
def alone(config: Config, by: str) -> Iterator[None]:
    """Announce this process, and be the only one that changes what releases are in use.

    Raises:
        RequestError: another one is, or the sentinel's journal does not take it.
    """
    announce(config, by, os.getpid())
    durable.make_folder(config.updates_folder)
    descriptor = os.open(config.updates_folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _locked(descriptor, 0.0 if by in PATIENT else WAIT_S):
        os.close(descriptor)
        raise RequestError("another update is under way: wait for its end")
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _updater(config: Config, source: str, by: str, link: socket.socket) -> Iterator[None]:
    from vedette.daemon.updater.sources import places  # noqa: PLC0415 (urllib.parse)

    user = config.updates.user if os.geteuid() == 0 else ""
    cache = _cache(config.updates_folder / "cache", user)
    metadata, targets = places(source)
    command = [
        sys.executable, "-I", "-m", "vedette.daemon.updater",
        "--link", str(link.fileno()), "--parent", str(os.getpid()), "--user", user,
        "--metadata", metadata, "--targets", targets, "--cache", f"/proc/self/fd/{cache}",
        "--limit", str(config.updates.limit_kb_s * 1000), "--ca", config.updates.ca,
    ]  # fmt: skip
    try:
        with link:
            process = _start(command, (link.fileno(), cache))
    finally:
        os.close(cache)
    try:
        announce(config, by, process.pid)  # it writes nothing before the installer asks
        yield
    finally:
        try:
            process.wait(UPDATER_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _cache(folder: Path, user: str) -> int:
    """The updater's own folder, held open: the way to it is closed to that user."""
    durable.make_folder(folder)
    if user:
        uid, gid, _ = privileges.account(user)
        os.chown(folder, uid, gid)
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _install(
    config_path: Path, wanted: Wanted, link: socket.socket | None, on_line: Callable[[str], None]
) -> int:
    passed = () if link is None else (link.fileno(),)
    command = [
        sys.executable, "-I", "-m", "vedette.daemon.installer",
        *(("--link", str(link.fileno())) if link is not None else ()),
        "--parent", str(os.getpid()), "--config", str(config_path), "--by", wanted.by[:MAX_BY],
        *(["--look"] if wanted.is_look else []), *(["--urgent"] if wanted.is_urgent else []),
        *(word for kind in wanted.kinds for word in ("--kind", kind)),
    ]  # fmt: skip
    process = _start(command, passed, subprocess.PIPE)
    if link is not None:
        link.close()  # while we held it, the updater would not see that the installer is gone
    try:
        for line in process.stdout or ():
            on_line(line.decode("utf-8", "replace").rstrip("\n"))
        return process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _start(
    command: list[str], descriptors: tuple[int, ...], output: int | IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, pass_fds=descriptors
        )
    except OSError as error:
        raise DeviceError(f"{command[3]} cannot be started: {error.strerror}") from error
