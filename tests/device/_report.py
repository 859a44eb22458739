"""What a run measured and saw, one JSON line each, for the report that the run writes."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.device._device import ARCH, REPOSITORY

from vedette_dev.device import outcomes

FOLDER = REPOSITORY / "build" / "qemu-test"
PREFIX = "tests/device/test_"


def tell(what: str, **facts: Any) -> None:
    """Add a line to this architecture's report."""
    _add(json.dumps({"what": what, "arch": ARCH, "at_s": round(time.time()), **facts}))


class Outcomes:
    """Adds how each test of a device ended; a plugin of pytest."""

    def __init__(self) -> None:
        self._run, self._commit = round(time.time()), _commit()
        self._phases: list[pytest.TestReport] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a phase of a test; its last is the teardown."""
        file, _, test = report.nodeid.partition("::")
        if not file.startswith(PREFIX):
            return
        self._phases.append(report)
        if report.when != "teardown":
            return
        phases, self._phases = self._phases, []
        ends = {phase.outcome for phase in phases}
        outcome = next(end for end in ("failed", "skipped", "passed") if end in ends)
        why = next((str(p.longrepr[2]) for p in phases if isinstance(p.longrepr, tuple)), "")
        _add(
            outcomes.line(
                outcomes.Outcome(
                    arch=ARCH,
                    file=file.removeprefix(PREFIX).removesuffix(".py"),
                    test=test,
                    outcome=outcome,
                    why=why if outcome == "skipped" else "",
                    took_s=round(sum(phase.duration for phase in phases), 1),
                    run=self._run,
                    commit=self._commit,
                )
            )
        )


def path() -> Path:
    """Of this architecture's report."""
    return FOLDER / f"{ARCH}.jsonl"


def _add(line: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with path().open("a") as stream:
        stream.write(f"{line}\n")


def _commit() -> str:
    """Of this clone, "+" behind it where files were changed since; "" outside one."""
    words = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty=+", "--exclude=*"]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return ended.stdout.strip()
