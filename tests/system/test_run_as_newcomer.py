"""`make run` in the hands of somebody new: mistakes, interruptions, missing things."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.system._dev import DEADLINE_S, REPOSITORY, DevRun
from tests.system._newcomer import open_folder, readable_python
from tests.system._proc import children, processes_with

pytestmark = pytest.mark.system

NOBODY = 65534


class Nobody(NamedTuple):
    """An ordinary user: the command of a Python it may run, and a folder of its own."""

    python: tuple[str, ...]
    home: Path


def dev(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vedette_dev", *map(str, arguments)]
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--secnods", "3"], "--help"),
        (["rnu"], "run"),
        (["run", "--seconds", "-1"], "--seconds"),
        (["attack", "now"], "now"),
    ],
)
def test_wrong_words_are_told_in_one_line(arguments: list[str], expected: str) -> None:
    done = dev(*arguments)
    assert done.returncode == 2
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_help_is_there() -> None:
    done = dev("--help")
    assert done.returncode == 0
    assert "attack" in done.stdout


def test_attack_without_a_run_says_how_to_start_one(tmp_path: Path) -> None:
    done = dev("attack", "--folder", tmp_path / ".dev")
    assert done.returncode == 2
    assert "start it with `make run`" in done.stderr


def test_second_run_names_the_first(tmp_path: Path, kernel: None) -> None:
    with DevRun(["run", "--folder", tmp_path / ".dev"]) as first:
        first.await_line("^identity ")
        done = dev("run", "--folder", tmp_path / ".dev")
        assert done.returncode == 2
        assert f"in use by pid {first.process.pid}" in done.stderr
        assert "make attack" in done.stderr


@pytest.mark.parametrize("at", ["^identity ", "^rules ", "^broker ", "^agent "])
def test_interrupt_in_the_middle_of_the_start_leaves_nothing(
    tmp_path: Path, kernel: None, at: str
) -> None:
    folder = tmp_path / ".dev"
    with DevRun(["run", "--folder", folder]) as run:
        run.await_line(at)
        run.interrupt()
        assert run.wait() == 130, run.text
    assert "Traceback" not in run.text
    assert not processes_with(str(folder))
    assert not (folder / "running.json").exists()


def test_run_ends_by_itself_and_starts_again(tmp_path: Path, kernel: None) -> None:
    folder = tmp_path / ".dev"
    for _ in range(2):
        with DevRun(["run", "--folder", folder, "--seconds", "1"]) as run:
            run.await_line("^watching ")
            assert run.wait() == 0, run.text
        assert not processes_with(str(folder))


@pytest.mark.skipif(not shutil.which("setpriv"), reason="no setpriv: apt-get install util-linux")
def test_what_a_killed_run_had_started_ends_too(tmp_path: Path, kernel: None) -> None:
    folder = tmp_path / ".dev"
    with DevRun(["run", "--folder", folder]) as run:
        run.await_line("^watching ")
        started = {os.pidfd_open(pid): line for pid, line in children(run.process.pid).items()}
        run.process.kill()
        run.process.wait()
    assert len(started) == 2, started
    for pidfd, line in started.items():
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)  # pidfd_open(2): readable when it has ended
        assert ended.poll(1000 * DEADLINE_S), line
        os.close(pidfd)
    assert not processes_with(str(folder))


def test_without_a_broker_it_says_what_to_install(tmp_path: Path, as_root: None) -> None:
    hidden = (
        "for path in /usr/sbin/mosquitto /usr/bin/mosquitto /usr/local/sbin/mosquitto; do "
        'test ! -e "$path" || mount --bind /dev/null "$path"; done; exec "$0" "$@"'
    )
    python = ("unshare", "--mount", "sh", "-c", hidden, sys.executable)
    with DevRun(["run", "--folder", tmp_path / ".dev"], python=python) as run:
        assert run.wait() == 2
    assert "apt-get install mosquitto" in run.text
    assert "Traceback" not in run.text


@pytest.fixture(scope="module")
def nobody() -> Iterator[Nobody]:
    if os.geteuid() != 0:
        pytest.skip("needs root to become nobody")
    with open_folder() as folder:
        home = folder / "home"
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        yield Nobody(readable_python(folder, NOBODY), home)


def test_folder_of_root_is_refused_to_others(nobody: Nobody) -> None:
    folder = nobody.home.parent / ".dev"
    folder.mkdir(mode=0o700)
    with DevRun(["run", "--folder", folder], python=nobody.python, cwd=Path("/")) as run:
        assert run.wait() == 2
    assert "got one of root" in run.text
    assert "sudo rm -r" in run.text


def test_nobody_runs_it_and_is_told_what_is_unseen(nobody: Nobody, kernel: None) -> None:
    words = ["run", "--folder", str(nobody.home / "short"), "--seconds", "1"]
    with DevRun(words, python=nobody.python, cwd=Path("/")) as run:
        run.await_line("without root")
        run.await_line("^watching ")
        assert run.wait() == 0, run.text
    assert "procfs" in run.text


PLAYED_BY_NOBODY = (
    "busybox_applet", "config_change", "cron_drop", "deleted_binary", "download_and_run",
    "encoded_one_liner", "listed_name", "memory_execution", "port_sweep", "setuid_bit",
    "shell_from_service", "ssh_key",
)  # fmt: skip
"""All 49 take minutes, since an ordinary user's sources poll; test_attacks plays them as root."""


def test_nobody_catches_what_its_sources_can_see(nobody: Nobody, kernel: None) -> None:
    folder = nobody.home / "attacked"
    with DevRun(["run", "--folder", folder], python=nobody.python, cwd=Path("/")) as run:
        run.await_line("^watching ")
        words = ["attack", "--folder", str(folder)]
        words += [word for name in PLAYED_BY_NOBODY for word in ("--only", name)]
        with DevRun(words, python=nobody.python, cwd=Path("/")) as attack:
            assert attack.wait() == 0, attack.text
    assert "not visible without root" in attack.text
    assert attack.text.count(" caught ") >= 9


def test_the_programs_the_tests_hide_are_where_they_look() -> None:
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if found is None:
        pytest.skip("mosquitto is not installed: sudo apt-get install mosquitto")
    assert Path(found).name == "mosquitto"
