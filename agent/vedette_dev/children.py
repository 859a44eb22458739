"""Processes that the workbench starts: each in a session of its own, ended by its pid alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from vedette.daemon.signal_names import signal_name
from vedette.errors import DeviceError

STOP_TIMEOUT_S = 20.0
"""The agent flushes for up to 10 s and its uplink for 3 more; after that something is wrong."""


def mortal(argv: Sequence[str], word: str = "KILL") -> list[str]:
    """The command of a child that gets this signal when the thread that starts it ends.

    Whoever is killed cleans nothing up; without setpriv(1) of util-linux the child is left then.
    """
    setpriv = shutil.which("setpriv")
    return [*([setpriv, "--pdeathsig", word, "--"] if setpriv else []), *argv]


def as_nice_as_we(pid: int) -> None:
    """Give a child that leads a session our niceness, which it had only within that session.

    Where each session is a group of its own (sched(7), "The autogroup feature"), `nice` counts
    within it: guests of `nice -n -10 make qemu-test` had no more of the processor than anybody.
    """
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    if niceness:
        with contextlib.suppress(OSError):  # no such groups here, or not for us to raise
            Path(f"/proc/{pid}/autogroup").write_text(str(niceness), encoding="ascii")


class Child:
    """A started process with its log."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; its output goes to the log, which begins anew.

        Args:
            name: for messages.
            argv: what to run.
            log: a file.
            environment: added to ours.
        """
        self.name = name
        self.log = log
        with log.open("wb") as stream:
            try:
                self._process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**os.environ, **(environment or {})},
                )
            except OSError as error:
                raise DeviceError(f"{name}: cannot start {argv[0]}: {error.strerror}") from error

    @property
    def pid(self) -> int:
        """Its pid."""
        return self._process.pid

    def ended(self) -> str:
        """How it ended with the end of its log, or "" while it runs."""
        code = self._process.poll()
        if code is None:
            return ""
        how = f"was ended by {signal_name(-code)}" if code < 0 else f"left with {code}"
        return f"{self.name} {how}; {self.log} ends with:\n{self.tail()}"

    def wait(self) -> None:
        """Wait until it ends, whoever ends it."""
        self._process.wait()

    def failure(self) -> DeviceError:
        """That it ended although nobody asked it to."""
        return DeviceError(self.ended() or f"{self.name} was expected to have ended, it runs")

    def tail(self, lines: int = 8) -> str:
        """The end of its log, indented."""
        with contextlib.suppress(OSError):
            kept = self.log.read_text("utf-8", "replace").splitlines()[-lines:]
            return "\n".join(f"    {line}" for line in kept) or "    (nothing)"
        return "    (no log)"

    def stop(self) -> bool:
        """Ask it to end; returns False when it had to be killed."""
        if self._process.poll() is not None:
            return True
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            return False
        return True
