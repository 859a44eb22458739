"""What starts agents for tests leaves none behind, however they begin and end."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from tests.system import _site
from tests.system._proc import end
from tests.system._site import Running, Site

from vedette.errors import DeviceError

STUBBORN = ("sh", "-c", "trap '' TERM; echo deaf; exec sleep 300")
"""An ignored signal stays ignored over exec (execve(2))."""


@pytest.mark.parametrize(
    "launcher", [("sh", "-c", "exec sleep 300"), STUBBORN], ids=["polite", "stubborn"]
)
def test_what_is_never_ready_does_not_run_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: tuple[str, ...]
) -> None:
    monkeypatch.setattr(_site, "DEADLINE_S", 1.0)
    running = Running(Site(tmp_path), launcher=launcher)
    with pytest.raises((DeviceError, subprocess.TimeoutExpired)), running:
        pytest.fail("it was never ready")
    assert running.process.returncode is not None


def test_who_does_not_end_when_told_is_killed_and_named() -> None:
    with subprocess.Popen(STUBBORN, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"deaf\n"
        with pytest.raises(subprocess.TimeoutExpired, match="trap"):
            end(process, 0.2)
        assert process.returncode == -signal.SIGKILL
