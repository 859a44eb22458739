"""A device for the attack table: the client's commands, and what is on its disk afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.simulators.repository_server import RepositoryServer

CLIENT = Path(__file__).with_name("client")
ROOT = Path(__file__).parents[2]
RUN_S = 60


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    words: str


class Forker:
    """Runs the client's `main` in forks of one process that has its imports done.

    A start of Python with tuf and urllib3 takes 0.3 s, and the table has hundreds.
    """

    def __init__(self, scratch: Path) -> None:
        self._errors = scratch / "stderr"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.conformance._forker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, words: list[str]) -> Ended:
        """One command line."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("expected pipes")
        self._process.stdin.write(json.dumps([str(self._errors), words]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        return Ended(int(answer), self._errors.read_text())

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=RUN_S)


class Device:
    """One device, and the server it asks.

    Attributes:
        metadata, targets: its folders.
    """

    def __init__(self, folder: Path, server: RepositoryServer, forker: Forker | None) -> None:
        self.metadata, self.targets = folder / "metadata", folder / "targets"
        self.metadata.mkdir()
        self.targets.mkdir()
        self._server, self._forker, self._folder = server, forker, folder
        self.environment: dict[str, str] = {}

    def init(self, root: bytes) -> Ended:
        """Begin with a root."""
        path = self._folder / "initial_root.json"
        path.write_bytes(root)
        return self._run(["init", str(path)])

    def refresh(self) -> Ended:
        """Update the metadata."""
        return self._run([*self._urls(), "refresh"])

    def download(self, *names: str) -> Ended:
        """Update the metadata, and fetch targets."""
        wanted = [word for name in names for word in ("--target-name", name)]
        places = [
            "--target-dir",
            str(self.targets),
            "--target-base-url",
            f"{self._server.url}/targets",
        ]
        return self._run([*self._urls(), *wanted, *places, "download"])

    def versions(self) -> dict[str, int]:
        """Verified metadata on the disk: version by name."""
        return {
            path.name.removesuffix(".json"): json.loads(path.read_bytes())["signed"]["version"]
            for path in sorted(self.metadata.glob("*.json"))
        }

    def contents(self) -> dict[str, bytes]:
        """Downloaded targets by file name."""
        return {path.name: path.read_bytes() for path in sorted(self.targets.iterdir())}

    def zero(self, *names: str) -> None:
        """What a power cut leaves of files that were not synced."""
        for name in names:
            path = self.metadata / name
            path.write_bytes(bytes(path.stat().st_size))

    def _urls(self) -> list[str]:
        return ["--metadata-url", f"{self._server.url}/metadata"]

    def _run(self, words: list[str]) -> Ended:
        line = ["--metadata-dir", str(self.metadata), *words]
        if self._forker is not None and not self.environment:
            return self._forker.run(line)
        done = subprocess.run(
            [CLIENT, *line],
            env={**os.environ, **self.environment},
            check=False,
            capture_output=True,
            text=True,
            timeout=RUN_S,
        )
        return Ended(done.returncode, done.stderr)
