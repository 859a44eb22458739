"""`vedette run` and `vedette restore` as a person starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vedette.daemon import keeper

pytestmark = pytest.mark.system

VEDETTE = (sys.executable, "-I", "-m", "vedette.cli")


def configuration(folder: Path, more: str = "") -> Path:
    path = folder / "v.toml"
    path.write_text(
        f'[device]\nid = "x"\n[paths]\nstate = "{folder}/state"\nrun = "{folder}/run"\n'
        f'[identity]\nkey = "{folder}/none.key"\n{more}'
    )
    return path


def test_a_wrong_configuration_starts_nothing(tmp_path: Path) -> None:
    path = configuration(tmp_path, "[journal]\nmax_mb = 0\n[uplnk]\n")
    run = subprocess.run(
        [*VEDETTE, "run", "--config", path], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "v.toml:9:1: [journal] max_mb: expected a whole number from 1 to 4096" in run.stderr
    assert 'v.toml:10:1: unknown table "uplnk": did you mean "uplink"?' in run.stderr
    assert not (tmp_path / "run").exists()


def test_a_sentinel_that_lost_its_key_says_so_again_and_again_until_stopped(tmp_path: Path) -> None:
    path = configuration(tmp_path)
    (tmp_path / "state" / "journal").mkdir(0o700, parents=True)  # it had a start, hence a key
    process = subprocess.Popen(
        [*VEDETTE, "run", "--config", path], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        with process.stderr as lines:
            assert f"{tmp_path}/none.key: expected this device's signing key" in next(lines)
            assert "sentinel ended with exit code 2: starting it again" in next(lines)
            process.send_signal(signal.SIGINT)
            rest = list(lines)
        assert process.wait(30) == 0
    finally:
        process.kill()
    assert not any("Traceback" in line for line in rest)
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


def test_a_second_keeper_of_the_same_folder_is_refused(tmp_path: Path) -> None:
    descriptor = keeper.lock(str(tmp_path))
    with pytest.raises(BlockingIOError, match=r"already running in .* as pid \d+; see: vedette st"):
        keeper.lock(str(tmp_path))
    run = subprocess.run(
        [sys.executable, "-I", "-m", "vedette.daemon.keeper", tmp_path, "/none", "", ""],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "already running" in run.stderr
    os.close(descriptor)
    os.close(keeper.lock(str(tmp_path)))


def test_a_sensor_that_cannot_restore_does_not_stop_the_others(tmp_path: Path) -> None:
    script = """
import sys
from vedette.cli import _command_line as cli, restore
from vedette.errors import SensorError
from vedette.ports import discover
class Bad:
    __module__ = "vedette.sensors.bad"
    @classmethod
    def restore(cls, run_dir):
        raise SensorError("no permission; run as root")
class Good(Bad):
    @classmethod
    def restore(cls, run_dir):
        return [f"audit as it was in {run_dir.name}\\x1b[2J"]
discover.sensor_classes = lambda package: [Bad, Good]
sys.exit(cli.main(sys.argv[1:]))
"""
    words = ["restore", "--config", str(configuration(tmp_path))]
    run = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (2, "restored: audit as it was in run\\e[2J\n")
    assert "bad: no permission; run as root" in run.stderr
    listed = subprocess.run(
        [sys.executable, "-c", script, *words, "--json"], capture_output=True, check=False
    )
    assert json.loads(listed.stdout)["failed"] == ["bad: no permission; run as root"]
