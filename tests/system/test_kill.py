"""Races with the killer, provoked on processes of the test's own: each ends in a stated outcome."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.scenes._processes import awaited, started, stat_of, state_of
from tests.system._breeder import Bred, bred, build, order

from vedette.model.process import ProcessKey
from vedette.model.response import Order, Outcome, ProcessTarget, ResponseStatus
from vedette.ports.responder import ResponderContext
from vedette.responses import _freezer
from vedette.responses.kill import Kill

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("as_root")]

STUCK = Path(__file__).parent.parent / "simulators" / "stuck_file.py"
FREEZER = Path("/sys/fs/cgroup/freezer")
MANY = 120
PTRACE_ATTACH, PTRACE_CONT = 16, 7


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("breeder"))


@pytest.fixture(params=["signals and freezer", "version 1", "signals"])
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What this kernel offers, and what poorer ones do."""
    found = _freezer.hierarchies()
    first = [hierarchy for hierarchy in found if not hierarchy.is_killable]
    if request.param == "version 1" and not first:
        pytest.skip("no freezer of version 1 is mounted")
    left = {"signals and freezer": found, "version 1": first, "signals": []}[request.param]
    monkeypatch.setattr(_freezer, "hierarchies", lambda: left)
    monkeypatch.setattr("vedette.responses.kill.hierarchies", lambda: left)
    return str(request.param)


def kill(folder: Path, target: ProcessTarget, *untouchable: int) -> Outcome:
    """Have it killed, and see that no control group of that is left."""
    made = Kill(ResponderContext(folder, folder, frozenset({1, *untouchable})))
    asked: Order = order("kill", target)
    outcome = made.act(asked, made.plan(asked))
    assert list(Path("/sys/fs/cgroup").glob(f"**/*{asked.response_id}")) == []
    return outcome


@pytest.mark.parametrize("mode", ["bomb", "orphans"])
def test_a_fork_bomb_is_ended_whole(mode: str, program: Path, tmp_path: Path, means: str) -> None:
    with bred(program, mode, count=MANY) as bomb:
        outcome = kill(tmp_path, bomb.target())
        assert outcome.status is ResponseStatus.DONE, outcome
        assert bomb.living() == []
        assert int(outcome.facts["killed"]) > 0


@pytest.mark.parametrize("mode", ["spawn", "threads", "vfork"])
def test_nobody_is_born_behind_our_back(
    mode: str, program: Path, tmp_path: Path, means: str
) -> None:
    with bred(program, mode) as tree:
        outcome = kill(tmp_path, tree.target())
        assert outcome.status is ResponseStatus.DONE, outcome
        assert tree.living() == []


def test_a_process_whose_first_thread_ended_is_no_corpse(
    program: Path, tmp_path: Path, means: str
) -> None:
    with bred(program, "leader", count=2) as tree:
        awaited(lambda: state_of(tree.pid) == "Z")
        outcome = kill(tmp_path, tree.target())
        assert (outcome.status, outcome.facts["killed"]) == (ResponseStatus.DONE, 2), outcome
        assert tree.living() == []


@pytest.mark.parametrize("mode", ["sibling", "away"])
def test_who_is_nobodys_child_is_ended_when_the_process_table_knew_it(
    mode: str, program: Path, tmp_path: Path
) -> None:
    with bred(program, mode, count=2) as tree:
        (other,) = [pid for pid in tree.living() if pid != tree.pid]
        outcome = kill(tmp_path, tree.target(kin=(other,)))
        assert (outcome.status, outcome.facts["killed"]) == (ResponseStatus.DONE, 2), outcome
        assert tree.living() == []


CUT_SHORT = """
import os, signal, sys
from pathlib import Path
from vedette.model.process import ProcessKey
from vedette.model.response import Mode, Order, ProcessTarget
from vedette.ports.responder import ResponderContext
from vedette.responses import kill
folder, pid, ticks, means = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if means == "in groups":
    kill._SIGNALS_S = -1.0
    kill.ProcessTree.is_closed = property(lambda tree: False)
kill._Hunt._kill = lambda hunt: os.kill(os.getpid(), signal.SIGKILL)
made = kill.Kill(ResponderContext(folder, folder, frozenset({1})))
target = ProcessTarget(ProcessKey(pid, ticks), "")
order = Order("c" * 16, "kill", target, Mode.ENFORCE, "test", "", "", 0.0)
made.act(order, made.plan(order))
"""
"""An agent that is killed between stopping a tree and killing it."""


@pytest.mark.parametrize("way", ["by signals", "in groups"])
def test_whom_a_killed_agent_left_stopped_is_ended_at_the_next_start(
    way: str, program: Path, tmp_path: Path
) -> None:
    if way == "in groups" and not _freezer.hierarchies():
        pytest.skip("no freezer is mounted")
    folder = tmp_path / "run"
    with bred(program, "leader", count=2) as tree:
        words = (str(folder), str(tree.pid), str(started(tree.pid)), way)
        ended = subprocess.run([sys.executable, "-c", CUT_SHORT, *words], timeout=30, check=False)
        assert ended.returncode == -signal.SIGKILL
        assert tree.living() != []
        made = Kill(ResponderContext(folder, folder, frozenset({1})))
        (line,) = made.recover()
        assert "was cut short" in line
        awaited(lambda: tree.living() == [])
        assert list(Path("/sys/fs/cgroup").glob(f"**/*{'c' * 16}")) == []
        assert made.recover() == []


def test_who_has_the_number_of_one_that_was_stopped_is_left_alone(tmp_path: Path) -> None:
    with shell("echo; sleep 1000") as (root, _):
        ours = f"{root.pid} {started(root.pid) - 1}\n1 0\n{os.getpid()} 0\ncut"
        (tmp_path / "stopped-kill-x").write_text(ours)
        made = Kill(ResponderContext(tmp_path, tmp_path, frozenset({1})))
        (line,) = made.recover()
        assert "0 processes" in line
        assert root.poll() is None
        assert list(tmp_path.iterdir()) == []


def test_a_full_memory_keeps_nobody_alive(program: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    with bred(program, "spawn") as tree:
        outcome = kill(nowhere, tree.target())
        assert outcome.status is ResponseStatus.DONE, outcome
        assert tree.living() == []


def test_a_kill_leaves_no_list(program: Path, tmp_path: Path) -> None:
    with bred(program, "spawn") as tree:
        kill(tmp_path, tree.target())
    assert list(tmp_path.iterdir()) == []


def test_who_cannot_be_told_from_a_stranger_is_left_alone(tmp_path: Path) -> None:
    """It executed a program in a session of its own, and what lay between has ended."""
    inner = "sleep 1000 & echo \\$!"
    with shell(f"sh -c 'setsid sh -c \"{inner}\" & wait'; sleep 1000") as (root, said):
        other = int(said)
        awaited(lambda: root.pid not in ancestors_of(other))
        stale = (ProcessKey(other, 1), ProcessKey(other, 0))
        outcome = kill(tmp_path, target_of(root.pid)._replace(kin=stale))
        assert outcome.status is ResponseStatus.DONE
        assert state_of(other) == "S"
        os.kill(other, signal.SIGKILL)


FORKS_TWO = """
import os, signal
for _ in "ab":
    pid = os.fork()
    if pid == 0:
        signal.pause()
    print(pid, end=" ", flush=True)
print()
"""


def test_a_sibling_that_was_forked_of_the_same_program_is_a_stranger(tmp_path: Path) -> None:
    """Both have the layout that their parent's exec was given, and their parent has ended."""
    with subprocess.Popen([sys.executable, "-c", FORKS_TWO], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker, sibling = map(int, parent.stdout.readline().split())
        parent.wait()
        try:
            outcome = kill(tmp_path, target_of(worker))
            assert (outcome.status, outcome.facts["killed"]) == (ResponseStatus.DONE, 1)
            assert state_of(sibling) == "S"
        finally:
            os.kill(sibling, signal.SIGKILL)


def parent_of(pid: int) -> int:
    stat = stat_of(pid)
    return 0 if stat is None else stat.ppid


def ancestors_of(pid: int) -> list[int]:
    found = []
    while pid := parent_of(pid):
        found.append(pid)
    return found


def test_what_a_dead_root_left_in_its_session_is_ended(tmp_path: Path) -> None:
    with shell("sleep 1000 & echo $!; exec sleep 1000") as (root, said):
        target = target_of(root.pid)
        orphan = int(said)
        root.kill()
        root.wait()
        awaited(lambda: state_of(root.pid) == "")
        outcome = kill(tmp_path, target)
        assert (outcome.status, outcome.facts["killed"]) == (ResponseStatus.DONE, 1), outcome
        awaited(lambda: state_of(orphan) in {"", "Z"})


def test_an_untouchable_descendant_is_spared_with_its_own(tmp_path: Path) -> None:
    inner = "sleep 1000 & echo $!; wait"
    with shell(f"sleep 1000 & sh -c '{inner}' & wait") as (root, said):
        grandchild = int(said)
        spared = int(Path(f"/proc/{grandchild}/stat").read_text().split()[3])
        outcome = kill(tmp_path, target_of(root.pid), spared)
        assert outcome.status is ResponseStatus.PARTLY
        assert f"process {spared} spared" in outcome.detail
        assert (outcome.facts["killed"], outcome.facts["spared"]) == (2, 1)
        assert (state_of(spared), state_of(grandchild)) == ("S", "S")
        for pid in (grandchild, spared):
            os.kill(pid, signal.SIGKILL)


def test_an_uninterruptible_sleep_is_told_and_ends_in_death(tmp_path: Path) -> None:
    folder = tmp_path / "mount"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, str(STUCK), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        said = server.stdout.readline()
        if not said:
            pytest.skip("this kernel has no FUSE")
        pid = int(said)
        outcome = kill(tmp_path, target_of(pid))
        assert outcome.status is ResponseStatus.PARTLY
        assert f"process {pid} left to end with an uninterruptible sleep" in outcome.detail
        assert (outcome.facts["killed"], outcome.facts["left"]) == (0, 1)
        assert state_of(pid) == "D"
        server.stdin.close()
        awaited(lambda: state_of(pid) in {"", "Z"})


def test_who_is_frozen_in_a_group_of_version_1_is_taken_out_to_die(tmp_path: Path) -> None:
    group = FREEZER / f"vedette-test-{secrets.token_hex(4)}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no freezer of version 1: {error.strerror}")
    with subprocess.Popen(["sleep", "1000"]) as process:
        try:
            (group / "cgroup.procs").write_text(str(process.pid))
            (group / "freezer.state").write_text("FROZEN")
            awaited(lambda: (group / "freezer.state").read_text() == "FROZEN\n")
            assert kill(tmp_path, target_of(process.pid)).status is ResponseStatus.DONE
            assert process.wait(5) == -signal.SIGKILL
        finally:
            with contextlib.suppress(OSError):
                (group / "freezer.state").write_text("THAWED")
            process.kill()
            process.wait()
            awaited(lambda: removed(group))


def removed(group: Path) -> bool:
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def test_an_accomplice_who_continues_them_changes_nothing(program: Path, tmp_path: Path) -> None:
    with bred(program, "spawn") as tree, continuing(tree):
        assert kill(tmp_path, tree.target()).status is ResponseStatus.DONE
        assert tree.living() == []


@contextlib.contextmanager
def continuing(tree: Bred) -> Iterator[None]:
    """Somebody else sends SIGCONT all the time."""
    ends = threading.Event()

    def run() -> None:
        while not ends.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(tree.pid, signal.SIGCONT)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


def test_a_tracer_who_keeps_the_signals_back_changes_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        tracer = os.fork()
        if tracer == 0:
            keep_signals_back(process.pid)
        awaited(lambda: tracer_of(process.pid) == tracer)
        assert kill(tmp_path, target_of(process.pid)).status is ResponseStatus.DONE
        assert process.wait(5) == -signal.SIGKILL
        os.waitpid(tracer, 0)


def keep_signals_back(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    signal.alarm(30)
    libc.ptrace(PTRACE_ATTACH, pid, None, None)
    with contextlib.suppress(ChildProcessError):
        while not os.WIFSIGNALED(os.waitpid(pid, 0x40000000)[1]):  # __WALL
            libc.ptrace(PTRACE_CONT, pid, None, None)
    os._exit(0)


def tracer_of(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("TracerPid")).split()[1])


def test_without_the_capability_nothing_is_done_and_that_is_told(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        target = target_of(process.pid)
        ends = os.pipe()
        child = os.fork()
        if child == 0:
            os.setresuid(65534, 65534, 65534)
            outcome = kill(Path("/tmp"), target)
            os.write(ends[1], f"{outcome.status} {outcome.detail}".encode())
            os._exit(0)
        os.waitpid(child, 0)
        said = os.read(ends[0], 4096).decode()
        for end in ends:
            os.close(end)
        assert said.startswith("failed cannot send signal")
        assert "capability kill" in said
        assert state_of(process.pid) == "S"
        process.kill()


def test_exits_in_the_middle_are_no_error(program: Path, tmp_path: Path) -> None:
    for _ in range(20):
        with shell("for i in 1 2 3 4 5 6 7 8; do true & done; echo $$; sleep 0.002") as (root, _):
            outcome = kill(tmp_path, target_of(root.pid))
            assert outcome.status in {ResponseStatus.DONE, ResponseStatus.FAILED}, outcome
            root.wait(5)


@contextlib.contextmanager
def shell(script: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A shell with a session of its own, and the first line it says."""
    with subprocess.Popen(
        ["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().decode().strip()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()


def target_of(pid: int) -> ProcessTarget:
    return ProcessTarget(ProcessKey(pid, started(pid)), "/bin/sh")
