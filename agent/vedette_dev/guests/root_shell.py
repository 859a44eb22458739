"""The harness's end of the root shell: commands and their output over a virtio port, no network.

The other end is qemu-images/root/usr/local/lib/vedette-test/shell. A line "ID SECONDS BASE64" goes
in, a line "ID STATUS BASE64" comes back.

Rule 1: answers to commands that nobody waits for any more are passed over: each has its number.
Rule 2: a command that takes longer than its time is killed in the device; one whose device does
not answer at all is given up a little later.
"""

from __future__ import annotations

import base64
import binascii
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

GRACE_S = 20.0
"""Beyond a command's own time: a device under emulation, busy, answers within seconds."""
KILLED = 137
"""The status of a command that took too long (timeout(1) with KILL)."""
_PING = 0
_LOOK_S = 0.2
_TRY_AGAIN_S = 2.0
_MAX_ANSWER_BYTES = 2 << 20
"""The device sends at most 1 MiB of output, in base64."""


class Ended(NamedTuple):
    """How a command ended.

    Attributes:
        code: its exit status; KILLED where it took too long.
        output: what it said, both streams, the first MiB.
    """

    code: int
    output: str


class NoAnswerError(Exception):
    """The device says nothing; the harness adds what it knows of why."""


class RootShell:
    """A connection to a device's shell, for one run of QEMU."""

    def __init__(self, place: Path, alive: Callable[[], bool]) -> None:
        """Nothing happens yet.

        Args:
            place: QEMU's socket.
            alive: whether QEMU still runs: nobody waits for one that ended.
        """
        self._place, self._alive = place, alive
        self._socket: socket.socket | None = None
        self._pending = b""
        self._number = _PING

    def await_ready(self, deadline_s: float) -> None:
        """Wait until the device answers.

        Raises:
            NoAnswerError: it does not in this time, or QEMU ended.
        """
        end_s = time.monotonic() + deadline_s
        # Asked again and again: a port without a reader may throw away what came before. All with
        # one number, so that the answer to any of them will do.
        while time.monotonic() < end_s:
            try:
                self._ask(_PING, "", 1, min(end_s, time.monotonic() + _TRY_AGAIN_S))
            except NoAnswerError:
                if not self._alive():
                    raise
            else:
                return
        raise NoAnswerError(f"the root shell did not answer within {deadline_s:.0f} s")

    def run(self, command: str, deadline_s: float) -> Ended:
        """Run a command of sh(1) as root.

        Raises:
            NoAnswerError: the device does not answer.
        """
        self._number += 1
        return self._ask(self._number, command, deadline_s, time.monotonic() + deadline_s + GRACE_S)

    def tell(self, command: str) -> None:
        """Have a command run whose answer nobody can count on, such as one that ends the device.

        Raises:
            NoAnswerError: it cannot be sent.
        """
        self._number += 1
        self._send(_question(self._number, command, GRACE_S), time.monotonic() + GRACE_S)

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._pending = b""

    def _ask(self, number: int, command: str, seconds: float, end_s: float) -> Ended:
        self._send(_question(number, command, seconds), end_s)
        while True:
            words = self._line(end_s).split(b" ")
            if words[0] == b"%d" % number:
                return _ended(words)

    def _send(self, data: bytes, end_s: float) -> None:
        try:
            self._connected(end_s).sendall(data)
        except OSError as error:
            self.close()
            raise NoAnswerError(f"the root shell cannot be written to: {error}") from error

    def _line(self, end_s: float) -> bytes:
        while b"\n" not in self._pending:
            if not self._alive():
                raise NoAnswerError("the device ended (reset, power off or crash)")
            if time.monotonic() > end_s:
                raise NoAnswerError("no answer from the root shell in time")
            if len(self._pending) > _MAX_ANSWER_BYTES:
                raise NoAnswerError(f"an answer of more than {_MAX_ANSWER_BYTES} bytes")
            self._receive(end_s)
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _receive(self, end_s: float) -> None:
        try:
            piece = self._connected(end_s).recv(65536)
        except TimeoutError:
            return
        except OSError as error:
            self.close()
            raise NoAnswerError(f"the root shell cannot be read: {error}") from error
        if not piece:
            self.close()
            raise NoAnswerError("QEMU closed the root shell")
        self._pending += piece

    def _connected(self, end_s: float) -> socket.socket:
        while self._socket is None:
            made = socket.socket(socket.AF_UNIX)
            try:
                made.connect(str(self._place))
            except OSError:
                made.close()
                if time.monotonic() > end_s or not self._alive():
                    raise
                time.sleep(_LOOK_S)
                continue
            made.settimeout(_LOOK_S)
            self._socket = made
        return self._socket


def _question(number: int, command: str, seconds: float) -> bytes:
    text = base64.b64encode(command.encode()).decode()
    return f"{number} {max(1, round(seconds))} {text}\n".encode()


def _ended(words: list[bytes]) -> Ended:
    try:
        _, status, output = words
        return Ended(
            int(status), base64.b64decode(output, validate=True).decode("utf-8", "replace")
        )
    except (ValueError, binascii.Error) as error:
        raise NoAnswerError(f"expected ID STATUS BASE64, got {b' '.join(words)[:80]!a}") from error
