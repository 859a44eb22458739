"""What the README tells a newcomer to type works, and the README keeps its form."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()
RUNNABLE = re.findall(r"^```sh runnable\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.system
@pytest.mark.parametrize("command", RUNNABLE)
def test_runnable_command_runs(command: str, kernel: None) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed: sudo apt-get install make")
    done = subprocess.run(
        ["bash", "-euc", command], cwd=REPOSITORY, capture_output=True, text=True, timeout=110,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_runnable_command() -> None:
    assert RUNNABLE


def test_readme_is_at_most_120_lines() -> None:
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`?make ([a-z-]+)", README))))
def test_every_make_target_named_exists(target: str) -> None:
    assert target in TARGETS


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (REPOSITORY / link).exists()


@pytest.mark.parametrize(
    "folder", sorted(set(re.findall(r"^\| `([a-z_/-]+/)`", README, re.MULTILINE)))
)
def test_every_folder_named_exists(folder: str) -> None:
    assert (REPOSITORY / folder).is_dir()
