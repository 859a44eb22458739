"""How long rules take from published to in use: directory source, real processes, real agent.

Rule: what is measured begins when `vedette repo publish` has returned and ends when `vedette update
run` has, with the sentinel judging by the new rules; the random time of the schedule is not in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figure import Figure, figure

from vedette.errors import DeviceError

REPOSITORY = Path(__file__).parents[2]
RUNS, QUICK_RUNS = 3, 1
TIMEOUT_S = 180.0


def figures(*, is_quick: bool) -> Iterator[Figure]:
    """Seconds, for all of our rules and their samples."""
    if os.geteuid() != 0:
        raise DeviceError("publish: needs root: updater, installer and worker become others")
    seconds = [_played() for _ in range(QUICK_RUNS if is_quick else RUNS)]
    note = "fetched, verified, tried on all samples, taken over by a running agent"
    yield figure("rules release: published to in use, directory source", seconds, "s", None, note)


def _played() -> float:
    with tempfile.TemporaryDirectory(prefix="vedette-publish-") as folder:
        argv = [
            sys.executable, "-m", "vedette_dev", "release-demo", "--json", "--short",
            "--folder", f"{folder}/demo", "--rules", str(REPOSITORY / "rules"),
        ]  # fmt: skip
        done = subprocess.run(
            argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    if done.returncode:
        raise DeviceError(f"publish: the demo failed: {(done.stdout + done.stderr)[-500:]}")
    chapter = json.loads(done.stdout.splitlines()[-1])
    return float(chapter["facts"]["publish_to_active_s"])
