"""Runs the scanner, a process of its own, and gives what it tells message by message.

Rule 1: everything here blocks and belongs into one worker thread: the kernel ends the scanner when
the thread that started it ends (PR_SET_PDEATHSIG).
Rule 2: a scanner that ends without its last message, or says what cannot be read, is a ScanError:
what it told until then is no whole scan.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from vedette.codec.scan_stream import LENGTH, Finished, Message, frame_length, parse_message
from vedette.errors import ParseError, SensorError

SCANNER: Final = "vedette.daemon.scanner"
COMPLAINT_BYTES_MAX: Final = 2048
END_S: Final = 1.0


RECENT_MAX: Final = 8
_recent: deque[int] = deque(maxlen=RECENT_MAX)


def recent_pids() -> frozenset[int]:
    """Scanners that this process started last, the living ones and some that have ended.

    They open the baseline in the state folder; what tells who did it comes after their end.
    """
    return frozenset(_recent)


class ScannerProcess:
    """One scan; `kill` may be called from any thread.

    Args:
        roots: real paths of the trees.
        state_dir: where the baseline is; None tells every file as found.
        turn: which slice of the files is read whole.
        slices: how many scans it takes to read all files again.

    Raises:
        SensorError: it cannot be started.
    """

    def __init__(
        self, roots: Sequence[str], state_dir: Path | None, turn: int = 0, slices: int = 1
    ) -> None:
        command = [sys.executable, "-I", "-m", SCANNER, str(os.getpid()), str(turn), str(slices)]
        command += ["" if state_dir is None else str(state_dir), *roots]
        self._complaint, complaining = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._complaint, False)
        # Nobody reads meanwhile: a full pipe must lose words, not stop the scanner.
        os.set_blocking(complaining, False)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaining,
            )
        except OSError as error:
            os.close(self._complaint)
            raise SensorError(f"scan: the scanner cannot be started: {error}") from error
        finally:
            os.close(complaining)
        _recent.append(self._process.pid)

    def kill(self) -> None:
        """End the scan; `messages` then raises SensorError."""
        self._process.kill()

    def messages(self) -> Iterator[Message]:
        """What the scanner tells, to its last message.

        Raises:
            SensorError: it ended early or told nonsense.
        """
        is_finished = False
        try:
            for message in self._parsed():
                is_finished = isinstance(message, Finished)
                yield message
        except ParseError as error:
            raise SensorError(f"scan: the scanner told nonsense: {error}") from error
        finally:
            complaint = self._finish()
        if not is_finished:
            code = self._process.returncode
            raise SensorError(f"scan: the scanner ended early (exit code {code}): {complaint}")

    def _parsed(self) -> Iterator[Message]:
        pipe = self._process.stdout
        if pipe is None:
            return
        while head := pipe.read(LENGTH.size):
            length = frame_length(head)
            yield parse_message(pipe.read(length))

    def _finish(self) -> str:
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._process.poll() is None:
            # It has told all, or nobody listens any more: either way it ends at its next write.
            _await_end(self._process.pid, END_S)
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        complaint = b""
        with contextlib.suppress(BlockingIOError):  # a child of the scanner's still holds the pipe
            complaint = os.read(self._complaint, COMPLAINT_BYTES_MAX)
        os.close(self._complaint)
        return complaint.decode("utf-8", "replace").strip() or "it said nothing"


def _await_end(pid: int, timeout_s: float) -> None:
    """Wait in one go: Popen.wait with a time-out looks again after each millisecond or two."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:  # Linux < 5.3, or no descriptor is left
        return
    try:
        select.select([pidfd], [], [], timeout_s)  # pidfd_open(2): readable when it has ended
    except ValueError:
        return  # select(2) takes no descriptor above 1,023
    finally:
        os.close(pidfd)
