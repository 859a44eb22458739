"""Starts `python -m vedette_dev` as a person does, and reads what it prints with a deadline."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 90.0


class DevRun:
    """A started command; a context manager that ends it, in order if it still can.

    Attributes:
        lines: what it has printed so far.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        python: Sequence[str] = (sys.executable,),
        environment: Mapping[str, str] | None = None,
        cwd: Path = REPOSITORY,
    ) -> None:
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            [*python, "-m", "vedette_dev", *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "NO_COLOR": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._pump = threading.Thread(target=self._read, daemon=True)
        self._pump.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            self._pump.join(5.0)

    def await_line(self, pattern: str, timeout_s: float = DEADLINE_S) -> str:
        """The first line from now on in which a pattern is found; fails with all lines if none."""
        ends_s = time.monotonic() + timeout_s
        while True:
            try:
                line = self._queue.get(timeout=max(0.0, ends_s - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"expected a line like {pattern!r}, got:\n{self.text}")
            if re.search(pattern, line):
                return line

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, timeout_s: float = DEADLINE_S) -> int:
        """Its exit code; fails with all lines if it goes on."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"expected an end in {timeout_s:g} s, got:\n{self.text}") from None
        self._pump.join(5.0)
        return code

    def stop(self) -> int:
        """Interrupt it unless it has ended; kill its session when that takes too long."""
        if self.process.poll() is None:
            self.interrupt()
        try:
            return self.wait(40.0)
        except AssertionError:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5.0)
            raise

    @property
    def text(self) -> str:
        """All that it printed."""
        return "\n".join(self.lines)

    def _read(self) -> None:
        stream = self.process.stdout
        if stream is None:
            raise RuntimeError("expected a pipe")
        with stream:
            for raw in stream:
                line = raw.decode("utf-8", "replace").rstrip()
                self.lines.append(line)
                self._queue.put(line)
        self._queue.put(None)
