"""A private mount with a stage on it: programs to execute there, and what is told about them."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.simulators.mounts import PrivateMount

PROGRAM = Path("/bin/true")
DEADLINE_S = 20.0
REPOSITORY = Path(__file__).parents[2]


def refusal() -> str:
    """Why this machine cannot play it, or ""."""
    return "" if os.geteuid() == 0 else "needs root: run the tests with sudo to include it"


class Stage:
    """One run of tests.simulators.exec_stage; it ends with its caller's `close`."""

    def __init__(self, socket: Path, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "tests.simulators.exec_stage", str(socket), str(folder)]
        self._process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": f"{REPOSITORY}/agent:{REPOSITORY}"},
        )  # fmt: skip
        self._received = b""
        try:
            self.told(up=True)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The stage's own."""
        return self._process.pid

    @property
    def guardian(self) -> int:
        """The guardian's pid."""
        return _child(self._process.pid)

    @property
    def holder(self) -> int:
        """The holder's pid."""
        return _child(self.guardian)

    def told(self, **wanted: object) -> dict[str, Any]:
        """The next line that has all of these; the lines before are dropped."""
        seen = []
        until_s = time.monotonic() + DEADLINE_S
        while (line := self._line(until_s)) is not None:
            if all(line.get(name) == value for name, value in wanted.items()):
                return line
            seen.append(line)
        raise AssertionError(f"expected {wanted}, was told {seen}")

    def kill(self) -> None:
        """End it as the kernel ends who uses too much memory."""
        self._process.kill()
        self._end()

    def close(self) -> None:
        """End it in good order; safe to call twice."""
        if self._process.poll() is None:
            self._process.terminate()
        self._end()

    def _end(self) -> None:
        try:
            self._process.wait(DEADLINE_S)
        finally:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _line(self, until_s: float) -> dict[str, Any] | None:
        """The next line, without a thread: none may share our namespace (simulators/mounts.py)."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._received:
            left_s = max(0.0, until_s - time.monotonic())
            if not select.select([descriptor], [], [], left_s)[0]:
                return None
            piece = os.read(descriptor, 65536)
            if not piece:
                return None
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found


class Theatre:
    """The mount, its programs, and the stage.

    Args:
        folder: where it is mounted; the socket lies beside it.
        options: as the stage takes them.
        kind: of file system.
    """

    def __init__(self, folder: Path, *options: str, kind: str = "tmpfs") -> None:
        self.mount_point = folder / "mount"
        self.mount_point.mkdir()
        self.socket = folder / "deny.sock"
        self._options = options
        self._mount = PrivateMount(self.mount_point, kind)
        try:
            self.stage = self._new_stage()
        except BaseException:
            self._mount.close()
            raise

    def program(self, name: str, *, tail: bytes = b"") -> Path:
        """A program that does nothing; `tail` makes its content its own."""
        path = self.mount_point / name
        shutil.copyfile(PROGRAM, path)
        with path.open("ab") as stream:
            stream.write(tail)
        path.chmod(0o755)
        return path

    def restart(self) -> None:
        """The agent is killed and started again."""
        self.stage.kill()
        self.stage = self._new_stage()

    def close(self) -> None:
        """End the stage and leave the namespace."""
        try:
            self.stage.close()
        finally:
            self._mount.close()

    def _new_stage(self) -> Stage:
        return Stage(self.socket, self.mount_point, *self._options)


def runs(path: Path) -> bool:
    """Whether a program can be executed; a wait of more than DEADLINE_S is an error."""
    try:
        return subprocess.run([path], timeout=DEADLINE_S, check=False).returncode == 0
    except PermissionError:
        return False


def _child(pid: int) -> int:
    """Never 0, which kill(2) would take for ourselves and all our kin."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert children, f"expected a child of {pid}, it has none"
    return int(children[0])
