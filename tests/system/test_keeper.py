"""The keeper with real children: small scripts in the place of sentinel, uplink and restore."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vedette.daemon import keeper_report

pytestmark = pytest.mark.system

DRIVER = """
import sys
from vedette.daemon import keeper, watchdog
run_dir, first, second, restore = sys.argv[1:]
keeper.STOP_DEADLINE_S = keeper.LAST_DEADLINE_S = 1.0
keeper.SILENT_S = watchdog.SILENT_S = 0.5
parts = [keeper.Part("sentinel", (sys.executable, "-I", first))]
if second:
    parts.append(keeper.Part("uplink", (sys.executable, "-I", second)))
print("keeper", flush=True)
sys.exit(keeper.Keeper(
    parts, restore=(sys.executable, "-I", restore), run_dir=run_dir, environment={},
    watchdog=watchdog.Watchdog(run_dir, {}),
    say=keeper.say, update=(sys.executable, "-I", run_dir + "/update.py"),
).run())
"""

CHILD = """
import os, signal, sys
signals = {signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
def tell(what):
    os.write(1, f"NAME {what}\\n".encode())
tell(f"started {os.getpid()}")
while True:
    got = signal.sigwait(signals)
    tell(signal.Signals(got).name)
    if got == signal.SIGTERM:
        sys.exit(0)
    if got == signal.SIGUSR1:
        sys.exit(3)
"""

STUBBORN = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, f"NAME started {os.getpid()}\\n".encode())
while True:
    signal.pause()
"""

WITH_GRANDCHILD = """
import os, signal, subprocess, sys
pid = os.fork()
if pid == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()
os.write(1, f"NAME started {pid}\\n".encode())
signal.sigwait({signal.SIGUSR2})
"""

HANGS = """
import faulthandler, os, signal, socket
faulthandler.enable()
os.write(1, f"NAME started {os.getpid()}\\n".encode())
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
    out.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
os.kill(os.getpid(), signal.SIGSTOP)
"""

RESTORE = 'import os; os.write(1, b"restore\\n")'


class Stage:
    """A running keeper; every line that it and its children print is read in order."""

    def __init__(self, process: subprocess.Popen[str], run_dir: Path) -> None:
        self.process = process
        self.run_dir = run_dir
        self.lines: list[str] = []
        self._unread: list[str] = []

    def line(self, beginning: str) -> str:
        """The next line that begins so; lines of other processes may come before or after it."""
        assert self.process.stdout is not None
        for line in self._unread:
            if line.startswith(beginning):
                self._unread.remove(line)
                return line
        for raw in self.process.stdout:
            line = raw.rstrip("\n")
            self.lines.append(line)
            if line.startswith(beginning):
                return line
            self._unread.append(line)
        pytest.fail(f"expected a line {beginning!r}, got {self.lines}")

    def pid(self, name: str) -> int:
        return int(self.line(f"{name} started").split()[-1])

    def end(self) -> int:
        assert self.process.stdout is not None
        self.lines += [line.rstrip("\n") for line in self.process.stdout]
        return self.process.wait()


Play = Callable[..., Stage]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Starts a keeper whose parts run the given scripts."""
    stages: list[Stage] = []

    def start(first: str, second: str = "") -> Stage:
        paths = []
        for name, text in (("sentinel", first), ("uplink", second), ("restore", RESTORE)):
            path = tmp_path / f"{name}.py"
            path.write_text(text.replace("NAME", name))
            paths.append(str(path) if text else "")
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(tmp_path), *paths],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        stages.append(Stage(process, tmp_path))
        stages[-1].line("keeper")
        return stages[-1]

    yield start
    for stage in stages:
        if stage.process.poll() is None:
            stage.process.send_signal(signal.SIGTERM)
        stage.process.wait()
        assert stage.process.stdout is not None
        stage.process.stdout.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_sentinel_stops_before_the_uplink_and_restore_follows_it(play: Play) -> None:
    stage = play(CHILD, CHILD)
    pids = [stage.pid("sentinel"), stage.pid("uplink")]
    stage.process.send_signal(signal.SIGINT)
    assert stage.end() == 0
    assert stage.lines[-3:] == ["sentinel SIGTERM", "restore", "uplink SIGTERM"]
    assert not any(is_alive(pid) for pid in pids)


def test_a_killed_sentinel_is_restored_started_again_and_reported(play: Play) -> None:
    stage = play(CHILD)
    os.kill(stage.pid("sentinel"), signal.SIGKILL)
    stage.line("restore")
    assert stage.line("vedette: sentinel").endswith(
        "sentinel was ended by SIGKILL: starting it again"
    )
    stage.pid("sentinel")
    assert keeper_report.read(stage.run_dir) == (
        keeper_report.PartState("sentinel", 1, "was ended by SIGKILL", 0.0),
    )


def test_a_failed_uplink_leaves_the_sentinel_alone(play: Play) -> None:
    stage = play(CHILD, CHILD)
    sentinel, uplink = stage.pid("sentinel"), stage.pid("uplink")
    os.kill(uplink, signal.SIGUSR1)
    assert "exit code 3" in stage.line("vedette: uplink")
    assert stage.pid("uplink") != uplink
    assert is_alive(sentinel)
    assert "restore" not in stage.lines


def test_a_part_that_cannot_run_is_started_six_times_and_then_pauses(play: Play) -> None:
    stage = play(CHILD, 'import os, sys; os.write(1, b"NAME ran\\n"); sys.exit(2)')
    pause = stage.line("vedette: uplink ended with exit code 2, more than 5 times")
    assert "next start in 2 s" in pause
    assert stage.lines.count("uplink ran") == 6
    stage.process.send_signal(signal.SIGTERM)
    assert stage.end() == 0


def test_hangup_reaches_the_sentinel_alone(play: Play) -> None:
    stage = play(CHILD, CHILD)
    stage.pid("sentinel")
    stage.pid("uplink")
    stage.process.send_signal(signal.SIGHUP)
    stage.line("sentinel SIGHUP")
    stage.process.send_signal(signal.SIGTERM)
    assert stage.end() == 0
    assert "uplink SIGHUP" not in stage.lines


def test_a_sentinel_that_does_not_stop_is_killed_at_the_deadline(play: Play) -> None:
    stage = play(STUBBORN)
    pid = stage.pid("sentinel")
    stage.process.send_signal(signal.SIGTERM)
    assert stage.end() == 1
    assert not is_alive(pid)
    assert any("had to be killed" in line for line in stage.lines)


def test_a_second_signal_does_not_wait_for_the_deadline(play: Play) -> None:
    stage = play(STUBBORN.replace("signal.SIG_IGN", "lambda *_: os.write(1, b'asked\\n')"))
    stage.pid("sentinel")
    stage.process.send_signal(signal.SIGINT)
    stage.line("asked")
    stage.process.send_signal(signal.SIGINT)
    assert stage.end() == 1


def test_what_a_part_started_ends_with_it(play: Play) -> None:
    stage = play(WITH_GRANDCHILD)
    grandchild = os.pidfd_open(stage.pid("sentinel"))
    stage.process.send_signal(signal.SIGTERM)
    assert stage.end() == 0
    assert select.select([grandchild], [], [], 5)[0], "the grandchild has not ended"
    os.close(grandchild)


def test_a_killed_keeper_takes_its_parts_along(play: Play) -> None:
    stage = play(CHILD, CHILD)
    stage.pid("sentinel")
    stage.pid("uplink")
    stage.process.kill()
    assert stage.end() == -signal.SIGKILL
    assert sorted(stage.lines[-2:]) == ["sentinel SIGTERM", "uplink SIGTERM"]


def test_one_that_hangs_is_ended_with_its_traceback_and_started_again(play: Play) -> None:
    stage = play(HANGS)
    pid = stage.pid("sentinel")
    stage.line("vedette: sentinel has been silent too long")
    stage.line("Fatal Python error: Aborted")
    stage.line("restore")
    assert "hung for 0.5 s and was ended by SIGABRT" in stage.line("vedette: sentinel hung")
    assert stage.pid("sentinel") != pid
    assert keeper_report.read(stage.run_dir)[0].restarts >= 1


def test_only_the_first_part_is_given_the_watchdog(play: Play) -> None:
    told = 'import os; os.write(1, f"NAME {sorted(os.environ)}\\n".encode())\n'
    stage = play(told + CHILD, told + CHILD)
    assert "NOTIFY_SOCKET" in stage.line("sentinel [")
    assert "NOTIFY_SOCKET" not in stage.line("uplink [")


def test_what_an_earlier_keeper_reported_is_forgotten(play: Play, tmp_path: Path) -> None:
    (tmp_path / "keeper.tsv").write_text("uplink\t7\t0\tended with exit code 2\n")
    stage = play(CHILD)
    stage.pid("sentinel")
    assert keeper_report.read(stage.run_dir) == ()


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    script = DRIVER.replace(
        'parts = [keeper.Part("sentinel", (sys.executable, "-I", first))]',
        'parts = [keeper.Part("sentinel", ("/nowhere/program",))]',
    )
    restore = tmp_path / "restore.py"
    restore.write_text(RESTORE)
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), "-", "", str(restore)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    stage = Stage(process, tmp_path)
    assert "cannot start /nowhere/program" in stage.line("vedette: cannot start")
    stage.line("vedette: sentinel ended with exit code 127, more than 5 times")
    process.send_signal(signal.SIGTERM)
    assert stage.end() == 0
    assert process.stdout is not None
    process.stdout.close()


UPDATE = """
import os, pathlib, sys
request = pathlib.Path(__file__).with_name("update.request")
wanted = request.read_bytes()
request.unlink()
os.write(1, b"update by " + wanted)
if os.path.exists(request.with_name("slow")):
    import signal; signal.pause()
"""


def ask_for_update(stage: Stage, by: str) -> None:
    """As the sentinel does: the file, then any word on the keeper's socket."""
    (stage.run_dir / "update.request").write_text(f"{by}\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(b"STATUS=watching", str(stage.run_dir / "notify.sock"))


def test_a_request_for_an_update_begins_one_beside_the_parts(play: Play) -> None:
    stage = play(CHILD)
    sentinel = stage.pid("sentinel")
    (stage.run_dir / "update.py").write_text(UPDATE)
    for by in ("boot", "schedule"):
        ask_for_update(stage, by)
        assert stage.line("update by") == f"update by {by}"
    assert is_alive(sentinel)
    stage.process.send_signal(signal.SIGTERM)
    assert stage.end() == 0
    assert not any(line.startswith("vedette: ") for line in stage.lines)


def test_an_update_under_way_ends_with_the_keeper(play: Play) -> None:
    stage = play(CHILD)
    stage.pid("sentinel")
    (stage.run_dir / "update.py").write_text(UPDATE + "os.write(1, b'never')")
    (stage.run_dir / "slow").touch()
    ask_for_update(stage, "schedule")
    stage.line("update by schedule")
    stage.process.send_signal(signal.SIGTERM)
    assert stage.end() == 0, "its pipe is closed: nothing of it is left"
    assert "never" not in stage.lines
