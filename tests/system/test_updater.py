"""The updater as a process: who it is, what a kill at either end leaves, what a link passes on."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.simulators.repository_server import RepositoryServer
from tests.simulators.tuf_repository import Repository

from vedette.daemon import privileges
from vedette.daemon.installer import staging
from vedette.daemon.installer.linked_source import LinkedSource
from vedette.errors import FetchError
from vedette.trust.tuf_client import VerifiedTarget

pytestmark = pytest.mark.system

CONTENT = os.urandom(1 << 20) * 8
TARGET = VerifiedTarget(
    "models/x/big", len(CONTENT), {"sha256": hashlib.sha256(CONTENT).hexdigest()}, None, "models",
    "models/x/big",
)  # fmt: skip
DEADLINE_S = 30


class _Bare(Repository):
    def __init__(self) -> None:
        self.files = {"timestamp.json": b"{}", "1.root.json": b"root"}
        self.targets = {"models/x/big": CONTENT}


class Running(NamedTuple):
    process: subprocess.Popen[bytes]
    source: LinkedSource


Start = Callable[..., Running]


@pytest.fixture
def server() -> Iterator[RepositoryServer]:
    with RepositoryServer(_Bare()) as running:
        yield running


@pytest.fixture
def start(tmp_path: Path, server: RepositoryServer) -> Iterator[Start]:
    running: list[Running] = []

    def one(*more: str, parent: int | None = None) -> Running:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        words = [
            "--link", str(theirs.fileno()), "--parent", str(parent or os.getpid()),
            "--metadata", f"{server.url}/metadata", "--targets", f"{server.url}/targets",
            "--cache", str(tmp_path / "cache"), *more,
        ]  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "vedette.daemon.updater", *words],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stderr=subprocess.PIPE,
        )
        theirs.close()
        running.append(Running(process, LinkedSource(ours, silence_s=DEADLINE_S)))
        return running[-1]

    yield one
    for process, source in running:
        source.close()
        process.kill()
        process.communicate()


def test_it_is_nobody_and_can_do_nothing_but_fetch(start: Start, as_root: None) -> None:
    process, source = start("--user", "nobody")
    assert source.metadata("timestamp.json", 100) == b"{}"
    seen = privileges.current(f"/proc/{process.pid}/status")
    assert seen.uid == privileges.account("nobody")[0]
    assert seen.no_new_privileges
    assert not seen.effective | seen.permitted | seen.inheritable | seen.ambient | seen.bounding
    source.leave()
    assert process.wait(DEADLINE_S) == 0


def test_it_ends_when_the_installer_is_gone(start: Start) -> None:
    process, source = start()
    source.metadata("timestamp.json", 100)
    source.close()
    assert process.wait(DEADLINE_S) == 0


def test_it_does_not_outlive_who_started_it(start: Start) -> None:
    process, _ = start(parent=1)
    assert process.wait(DEADLINE_S) == -signal.SIGKILL


def test_a_kill_in_the_middle_costs_what_was_on_its_way_and_no_more(
    start: Start, server: RepositoryServer, tmp_path: Path
) -> None:
    process, source = start("--limit", str(4 << 20))
    path = tmp_path / "staged"

    def kill_at_half(done: int, total: int) -> None:
        if done > total // 2:
            process.kill()

    with pytest.raises(FetchError):
        staging.fetch(source, TARGET, path, kill_at_half)
    had = path.stat().st_size
    assert len(CONTENT) // 2 < had < len(CONTENT)
    server.asked.clear()
    staging.fetch(start().source, TARGET, path)
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [f"bytes={had}-{len(CONTENT) - 1}"]


def test_metadata_of_a_broken_session_is_not_fetched_twice(
    start: Start, server: RepositoryServer
) -> None:
    process, source = start()
    source.metadata("1.root.json", 100)
    process.kill()
    again = start()
    assert again.source.metadata("1.root.json", 100) == b"root"
    assert server.paths() == ["/metadata/1.root.json"]
    again.source.leave()
    assert again.process.wait(DEADLINE_S) == 0
    start().source.metadata("1.root.json", 100)
    assert server.paths() == ["/metadata/1.root.json"] * 2


def test_a_bandwidth_limit_holds(start: Start, tmp_path: Path) -> None:
    """A second's worth is there at once; the rest takes its time."""
    _, source = start("--limit", str(len(CONTENT) // 2))
    began_s = time.monotonic()
    staging.fetch(source, TARGET, tmp_path / "staged")
    assert time.monotonic() - began_s > 0.8


def test_what_is_no_source_is_told_in_one_line(start: Start) -> None:
    process, _ = start("--metadata", "ftp://x/y")
    _, words = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert words.startswith(b"vedette: expected a URL")
    assert words.count(b"\n") == 1


CONFINED = """
import json, os, socket, sys
from vedette.daemon import privileges
from vedette.daemon.installer.confinement import confine
link = socket.socket(fileno=int(sys.argv[1]))
before = os.readlink("/proc/self/ns/net")
problems = confine()
outcome = "connected"
try:
    socket.create_connection((sys.argv[2], int(sys.argv[3])), timeout=5)
except OSError as error:
    outcome = error.strerror
devices = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
now = privileges.current()
link.sendall(json.dumps([
    problems, outcome, devices, before != os.readlink("/proc/self/ns/net"),
    sorted(now.effective), now.no_new_privileges,
]).encode())
"""


def test_the_installer_has_no_network_and_keeps_its_link(
    server: RepositoryServer, as_root: None
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    host, port = server.url.removeprefix("http://").split(":")
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, str(theirs.fileno()), host, port],
        pass_fds=[theirs.fileno()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        timeout=DEADLINE_S,
    )
    theirs.close()
    assert done.returncode == 0
    with ours:
        answer = json.loads(ours.recv(65536))
    problems, outcome, devices, is_another, capabilities, no_new_privileges = answer
    if problems:
        pytest.skip(f"needs a network namespace: {problems[0]}")
    assert outcome == "Network is unreachable"
    assert devices == ["lo"]
    assert is_another
    assert no_new_privileges
    assert {"net_admin", "net_raw", "sys_ptrace", "sys_module"}.isdisjoint(capabilities)
    assert server.asked == []
