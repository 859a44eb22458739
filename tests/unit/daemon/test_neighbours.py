"""The agent's other processes: one that is stopped is told and let go on, one that runs is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from vedette.daemon.neighbours import Held, Neighbours


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_a_stopped_process_is_told_and_goes_on(sleeper: subprocess.Popen[bytes]) -> None:
    neighbours, pids = Neighbours(), {"uplink": sleeper.pid, "keeper": 0}
    assert neighbours.held(pids) == []
    os.kill(sleeper.pid, signal.SIGSTOP)
    os.waitpid(sleeper.pid, os.WUNTRACED)
    assert neighbours.held(pids) == [Held("uplink", sleeper.pid, is_traced=False)]
    assert os.WIFCONTINUED(os.waitpid(sleeper.pid, os.WCONTINUED)[1])
    assert neighbours.held(pids) == []


def test_one_that_a_debugger_holds_is_told_once(tmp_path: Path) -> None:
    stat = "77 (up (l) ink) t 1 " + "0 " * 17 + "500 0\n"
    (tmp_path / "77").mkdir()
    (tmp_path / "77" / "stat").write_text(stat)
    neighbours = Neighbours(tmp_path)
    assert neighbours.held({"uplink": 77}) == [Held("uplink", 77, is_traced=True)]
    assert neighbours.held({"uplink": 77}) == []


def test_one_that_has_ended_or_is_unreadable_is_nobody(tmp_path: Path) -> None:
    (tmp_path / "78").mkdir()
    (tmp_path / "78" / "stat").write_text("nonsense")
    assert Neighbours(tmp_path).held({"uplink": 77, "keeper": 78, "sentinel": 1}) == []
