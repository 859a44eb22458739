"""Holding process trees still by every means a kernel may offer, and letting them go."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.scenes._processes import awaited, group, started, stat_of, state_of
from tests.system._breeder import bred, build, order

from vedette.model.process import ProcessKey
from vedette.model.response import Order, ProcessTarget, ResponseStatus, UndoRecord
from vedette.ports.responder import ResponderContext
from vedette.responses import _freezer
from vedette.responses.freeze import Freeze
from vedette.responses.kill import Kill

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("as_root")]

MANY = 60
MEANS = ["version 2", "version 1", "signals"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("breeder"))


@pytest.fixture(params=MEANS)
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What this kernel offers, one at a time."""
    found = _freezer.hierarchies()
    left = {
        "version 2": [hierarchy for hierarchy in found if hierarchy.is_killable],
        "version 1": [hierarchy for hierarchy in found if not hierarchy.is_killable],
        "signals": [],
    }[request.param]
    if not left and request.param != "signals":
        pytest.skip(f"no freezer of {request.param} is mounted")
    monkeypatch.setattr(_freezer, "hierarchies", lambda: left)
    for user in ("freeze", "kill"):
        monkeypatch.setattr(f"vedette.responses.{user}.hierarchies", lambda: left)
    return str(request.param)


class Held:
    """One order to freeze a process, and the responder that carries it out."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.responder = Freeze(ResponderContext(folder, folder))
        self.order: Order = order(
            "freeze", ProcessTarget(ProcessKey(pid, started(pid)), "/bin/sleep")
        )
        self.record: UndoRecord = self.responder.plan(self.order)
        self.outcome = self.responder.act(self.order, self.record)

    def undo(self) -> ResponseStatus:
        return self.responder.undo(self.order, self.record).status

    def holds(self) -> bool:
        return self.responder.holds(self.order, self.record)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ticks: it asks for the time all the while."""
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as process:
        try:
            yield process
        finally:
            process.kill()


def spends_time(pid: int) -> bool:
    """Whether a process that never waits gets anywhere within 0.2 s."""
    stat = Path(f"/proc/{pid}/schedstat")
    before = int(stat.read_text().split()[0])
    until_s = time.monotonic() + 0.2
    while time.monotonic() < until_s:
        if int(stat.read_text().split()[0]) > before:
            return True
    return False


def test_a_busy_process_stands_still_and_goes_on(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, means: str
) -> None:
    was_in = group(sleeper.pid)
    held = Held(tmp_path, sleeper.pid)
    assert held.outcome.status is ResponseStatus.DONE, held.outcome
    assert held.holds()
    assert not spends_time(sleeper.pid)
    assert held.undo() is ResponseStatus.UNDONE
    assert spends_time(sleeper.pid)
    assert group(sleeper.pid) == was_in
    assert list(tmp_path.iterdir()) == []


def test_who_was_stopped_before_stays_stopped(tmp_path: Path, means: str) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        process.send_signal(signal.SIGSTOP)
        awaited(lambda: state_of(process.pid) == "T")
        held = Held(tmp_path, process.pid)
        assert held.outcome.status is ResponseStatus.DONE
        assert held.undo() is ResponseStatus.UNDONE
        awaited(lambda: state_of(process.pid) == "T")
        process.kill()


@pytest.mark.parametrize("is_first_in", [True, False])
def test_the_last_of_two_orders_lets_go(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, means: str, *, is_first_in: bool
) -> None:
    was_in = group(sleeper.pid)
    held = [Held(tmp_path, sleeper.pid), Held(tmp_path, sleeper.pid)]
    assert [one.outcome.status for one in held] == [ResponseStatus.DONE] * 2
    first, last = held if is_first_in else reversed(held)
    assert first.undo() is ResponseStatus.UNDONE
    assert not spends_time(sleeper.pid)
    assert last.holds()
    assert last.undo() is ResponseStatus.UNDONE
    assert spends_time(sleeper.pid)
    assert group(sleeper.pid) == was_in
    assert list(tmp_path.iterdir()) == []


def test_a_fork_bomb_stands_still(program: Path, tmp_path: Path, means: str) -> None:
    with bred(program, "bomb", count=MANY) as bomb:
        held = Held(tmp_path, bomb.pid)
        assert held.outcome.status is ResponseStatus.DONE, held.outcome
        living = set(bomb.living())
        spent = {pid: spent_ticks(pid) for pid in living}
        until_s = time.monotonic() + 0.2
        while time.monotonic() < until_s:
            assert set(bomb.living()) == living
        assert {pid: spent_ticks(pid) for pid in living} == spent
        assert held.undo() is ResponseStatus.UNDONE


def spent_ticks(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]


def test_what_is_frozen_can_be_killed(tmp_path: Path, means: str) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        held = Held(tmp_path, process.pid)
        asked = order("kill", held.order.target)  # type: ignore[arg-type]
        responder = Kill(ResponderContext(tmp_path, tmp_path))
        outcome = responder.act(asked, responder.plan(asked))
        assert outcome.status is ResponseStatus.DONE, outcome
        assert process.wait(5) == -signal.SIGKILL
        assert held.undo() is ResponseStatus.UNDONE


def test_signals_that_somebody_takes_away_no_longer_hold(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in ("_freezer", "freeze"):
        monkeypatch.setattr(f"vedette.responses.{user}.hierarchies", list)
    held = Held(tmp_path, sleeper.pid)
    assert held.holds()
    sleeper.send_signal(signal.SIGCONT)
    awaited(lambda: state_of(sleeper.pid) == "R")
    assert not held.holds()
    again = held.responder.act(held.order, held.record)
    assert again.status is ResponseStatus.DONE
    assert held.holds()
    assert held.undo() is ResponseStatus.UNDONE
    assert spends_time(sleeper.pid)


def test_a_list_cut_by_a_kill_names_nobody_else(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        process.send_signal(signal.SIGSTOP)
        awaited(lambda: state_of(process.pid) == "T")
        asked = order("freeze", ProcessTarget(ProcessKey(process.pid, 1), ""))
        began = started(process.pid)
        listed = tmp_path / f"stopped-freeze-{asked.response_id}"
        listed.write_text(f"{process.pid} {began + 1}\nx\n\n-1 7\n{process.pid} {began}")
        responder = Freeze(ResponderContext(tmp_path, tmp_path))
        assert responder.undo(asked, {}).status is ResponseStatus.UNDONE
        assert state_of(process.pid) == "T"
        assert not listed.exists()
        process.kill()


def test_where_nothing_can_be_written_nobody_is_stopped(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in ("_freezer", "freeze"):
        monkeypatch.setattr(f"vedette.responses.{user}.hierarchies", list)
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    held = Held(nowhere, sleeper.pid)
    assert held.outcome.status is ResponseStatus.FAILED
    assert "cannot write down who is stopped" in held.outcome.detail
    assert spends_time(sleeper.pid)


def test_a_waiting_parent_is_not_told_of_a_freezer(tmp_path: Path) -> None:
    """A shell that learnt of a stop would take the terminal back, and nothing gives it again."""
    if not _freezer.hierarchies():
        pytest.skip("no freezer is mounted")
    with subprocess.Popen(["sleep", "1000"]) as process:
        held = Held(tmp_path, process.pid)
        flags = os.WSTOPPED | os.WCONTINUED | os.WNOHANG
        assert os.waitid(os.P_PID, process.pid, flags) is None
        held.undo()
        assert os.waitid(os.P_PID, process.pid, flags) is None
        process.kill()


def test_one_that_ended_holds_and_is_undone(tmp_path: Path, means: str) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        held = Held(tmp_path, process.pid)
        process.kill()
        with contextlib.suppress(OSError):
            for folder in Path("/sys/fs/cgroup/freezer").glob("vedette-held-*"):
                (folder / "freezer.state").write_text("THAWED")
        process.wait(5)
        assert stat_of(process.pid) is None
        assert held.holds()
        assert held.undo() is ResponseStatus.UNDONE
