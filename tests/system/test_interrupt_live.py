"""Ctrl-C at any moment of the start: nothing of the agent is left, running or in the kernel."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contract.test_sensor_contract import kernel_state
from tests.system._proc import processes_with
from tests.system._site import Site, rule

from vedette.model.rule import Match

pytestmark = [pytest.mark.system, pytest.mark.kernel]

MOMENTS = 8
LATEST_S = 2.0
"""By then it watches: the later moments interrupt a whole agent."""
STOP_S = 30.0
BEGUN = re.compile(r'/vedette/.*", line [0-9]+, in (?!<module>)')
"""A frame of ours in a traceback that is no import."""
MARKED = rule("marked", "file_event", Match("TargetFilename", "endswith", ".marked", False))


def moments(seed: int) -> list[float]:
    """One in each equal part of the start, so that no part is left out by chance."""
    chance = random.Random(seed)
    return [(part + chance.random()) * LATEST_S / MOMENTS for part in range(MOMENTS)]


def test_ctrl_c_at_any_moment_of_the_start_leaves_nothing_behind(
    tmp_path: Path, as_root: None, kernel: None
) -> None:
    site = Site(tmp_path)
    site.offer(MARKED)
    site.write_config('[uplink]\nhost = "127.0.0.1"\nport = 9\nuser = "61875"\n')
    before = kernel_state()
    seed = random.randrange(2**32)
    for moment_s in moments(seed):
        said = f"interrupted after {moment_s:.3f} s (seed {seed})"
        log = tmp_path / f"agent-{moment_s:.3f}.log"
        with log.open("wb") as stream:
            agent = subprocess.Popen(
                [sys.executable, "-I", "-m", "vedette.cli", "run", "--config", str(site.config)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        try:
            agent.wait(moment_s)
        except subprocess.TimeoutExpired:
            os.killpg(agent.pid, signal.SIGINT)  # as a terminal does it
        code = agent.wait(STOP_S)
        logged = log.read_text("utf-8", "replace")
        told = f"{said}, left with {code}:\n{logged[-3000:]}"
        assert not processes_with(str(site.config)), told
        assert not list(site.run.glob("*.sock")), told
        assert kernel_state() == before, told
        if "KeyboardInterrupt" in logged and not BEGUN.search(logged):
            continue  # Python was still importing: it says so in its own way
        # 130: before it had begun to start anything; 0: stopped in good order.
        assert code in {0, 130, -signal.SIGINT}, told
        assert "Traceback" not in logged, told
    shutil.rmtree(site.run, ignore_errors=True)
