"""A responder on files, killed between any two of its steps: the undo is exact all the same.

A child runs one step under a tracer that sends SIGKILL before the n-th line of our code, for every
n until the step runs through; then another instance undoes what the child had begun.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system import files_until_killed

pytestmark = pytest.mark.usefixtures("as_root")

ROOT = Path(__file__).parents[2]
PROGRAM = files_until_killed.__file__


@pytest.fixture(params=["same file system", "another one"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "place"
    if request.param == "another one":
        folder = Path("/dev/shm") / f"vedette-killed-{os.getpid()}"
    folder.mkdir()
    made = folder / "evil"
    made.write_bytes(b"evil" * 100)
    os.chown(made, 1, 2)
    os.setxattr(made, "security.capability", bytes.fromhex("01000002000400000000" + "00" * 10))
    made.chmod(0o4755)
    os.utime(made, ns=(1_000_000_000_000_000_001, 1_000_000_000_000_000_002))
    yield made
    shutil.rmtree(folder)


def kills(what: str, file: Path, folder: Path) -> int:
    """How often a story killed a responder; each undo in it was exact."""
    done = subprocess.run(
        [sys.executable, PROGRAM, what, file, folder],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'agent'}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_quarantine_killed_anywhere_is_undone_exactly(file: Path, tmp_path: Path) -> None:
    found = kills("quarantine", file, tmp_path)
    assert found > 200, "the tracer saw fewer lines than there are"


@pytest.mark.parametrize("harm", files_until_killed.HARMS)
def test_a_restored_file_killed_anywhere_is_undone_exactly(
    file: Path, tmp_path: Path, harm: str
) -> None:
    found = kills(harm, file, tmp_path)
    assert found > 100, "the tracer saw fewer lines than there are"
