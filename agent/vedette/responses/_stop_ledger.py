"""Stops by SIGSTOP, and writes down whom before it does.

Rule 1: a line is written before the signal is sent, so an undo after a kill -9 of the agent knows
all it may have stopped. Neither the list nor the processes outlive a reboot.
Rule 2: who was stopped before, by somebody else, is not written down and stays stopped.
Rule 3: a process that another list of ours names goes on only with the last of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from vedette.errors import ResponseError
from vedette.model.process import ProcessKey
from vedette.responses._process_handle import ProcessHandle, open_process
from vedette.responses._stop_signals import STOPPED, StopSignals

_PATTERN: Final = "stopped-*"
_MAX_BYTES: Final = 1 << 20
"""Some 50,000 processes: more than a device has."""


class StopLedger(StopSignals):
    """A brake (_process_tree.Brake) of one response; a context manager while it stops.

    Attributes:
        name: of the list.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self.name = folder, name
        self._path = folder / f"stopped-{name}"
        self._descriptor = -1
        self._written: set[ProcessKey] = set()

    def hold(self, process: ProcessHandle) -> None:
        """Write it down, and stop it.

        Raises:
            ResponseError: it cannot be written down; it was not stopped.
        """
        key = ProcessKey(process.pid, process.stat.start_ticks)
        if key not in self._written and self._is_of_ours(process, key):
            self._write(key)
        super().hold(process)

    def has(self, pid: int) -> bool:
        """Whether it was written down."""
        return any(key.pid == pid for key in _read(self._path))

    def forget(self) -> None:
        """Remove the list; nobody is let go on."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._written.clear()
        self._close()

    def resume(self) -> int:
        """Let everybody go on whom this list alone names, and remove it; how many did."""
        others = self._others()
        count = 0
        for key in _read(self._path):
            process = None if key in others else open_process(key.pid)
            if process is None:
                continue
            with process:
                if process.is_same(key.start_ticks):
                    count += process.signal(signal.SIGCONT)
        self.forget()
        return count

    def _is_of_ours(self, process: ProcessHandle, key: ProcessKey) -> bool:
        return process.stat.state not in STOPPED or key in self._others()

    def _others(self) -> set[ProcessKey]:
        paths = (path for path in self._folder.glob(_PATTERN) if path != self._path)
        return {key for path in paths for key in _read(path)}

    def _write(self, key: ProcessKey) -> None:
        try:
            if self._descriptor < 0:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o600)
            os.write(self._descriptor, b"%d %d\n" % key)
        except OSError as error:
            raise ResponseError(
                f"{self._path}: cannot write down who is stopped: {error.strerror}"
            ) from error
        self._written.add(key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def left(folder: Path, kind: str) -> Iterator[tuple[str, list[ProcessKey]]]:
    """The lists that responses of a kind left: the name of each, and who is on it."""
    for path in sorted(folder.glob(f"stopped-{kind}-*")):
        yield path.name.removeprefix("stopped-"), _read(path)


def _read(path: Path) -> list[ProcessKey]:
    """The processes of a list; a line that a kill -9 cut stands for nobody."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
    except OSError:
        return []
    lines = (line.split() for line in data.split(b"\n")[:-1])
    return [ProcessKey(int(line[0]), int(line[1])) for line in lines if _is_pair(line)]


def _is_pair(words: list[bytes]) -> bool:
    return len(words) == len(ProcessKey._fields) and all(word.isdigit() for word in words)
