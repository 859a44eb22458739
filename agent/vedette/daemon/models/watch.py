"""Watches an inference process while a model is on trial: its probes, and what it says itself.

On its health socket an inference process sends datagrams: "BREACH=reason" when the model leaves its
bounds, anything else ("WATCHDOG=1") to say that it is alive.

Rule 1: the first thing that is wrong ends the watch at once; what brought it is told.
Rule 2: only the inference process's user and root are heard (SCM_CREDENTIALS, unix(7)).
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from vedette.codec.text import escape
from vedette.daemon import essential_prober, privileges
from vedette.daemon.essential_prober import DownError
from vedette.errors import ParseError, StoreError
from vedette.model.essential import EssentialFunction
from vedette.model.model_use import ModelUse
from vedette.model.update import Cause

PROBE_EVERY_S = 1.0
PROBE_TIMEOUT_S = 5
MAX_DATAGRAM = 512
_CREDENTIALS = struct.Struct("iII")  # struct ucred, unix(7)
_BREACH = b"BREACH="


class Problem(NamedTuple):
    """Why a model has to go, in a word for programs and in words for people."""

    cause: Cause
    reason: str


class Watch:
    """One trial, a context: the health socket is there from before the hook until the end.

    Args:
        use: whom to watch.

    Raises:
        StoreError: the health socket cannot be made.
    """

    def __init__(self, use: ModelUse) -> None:
        self._use = use
        self._socket: socket.socket | None = None
        self._heard_s = 0.0
        self._uids = frozenset((0, privileges.account(use.user)[0]))

    def __enter__(self) -> Self:
        if self._use.health:
            self._socket = _bound(self._use.health)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            self._socket.close()
            with suppress(OSError):
                os.unlink(self._use.health)  # noqa: PTH108

    def run(self, lasts_s: float) -> Problem | None:
        """Watch for so long; what went wrong, or None when all went well."""
        began_s = self._heard_s = time.monotonic()
        next_s, unit = began_s, ""
        while (now_s := time.monotonic()) < began_s + lasts_s:
            if now_s >= next_s:
                unit, problem = self._probe(unit)
                if problem is not None:
                    return problem
                next_s = time.monotonic() + PROBE_EVERY_S
            problem = self._listen(min(next_s, began_s + lasts_s))
            if problem is not None:
                return problem
        return None

    def _probe(self, unit: str) -> tuple[str, Problem | None]:
        """The unit's invocation, and what is wrong."""
        use = self._use
        if not (use.unit or use.command):
            return unit, None
        wanted = EssentialFunction(
            use.model, use.unit, command=use.command, user=use.user, timeout_s=PROBE_TIMEOUT_S
        )
        found = essential_prober.probe(wanted)
        if not found.is_up:
            return unit, Problem(Cause.HEALTH, found.detail)
        if not use.unit:
            return unit, None
        try:
            now = essential_prober.unit_state(use.unit, PROBE_TIMEOUT_S).invocation
        except (DownError, ParseError) as error:
            return unit, Problem(Cause.HEALTH, str(error))
        if unit and now != unit:
            return now, Problem(Cause.HEALTH, f"{use.unit} ended and was started again")
        return now, None

    def _listen(self, until_s: float) -> Problem | None:
        """Until then, or until it has been silent for too long."""
        if self._socket is None:
            time.sleep(max(0.0, until_s - time.monotonic()))
            return None
        while (now_s := time.monotonic()) < until_s:
            silent_s = self._heard_s + self._use.silence_s
            if now_s >= silent_s:
                words = f"the inference process was silent for {self._use.silence_s} s"
                return Problem(Cause.HEALTH, words)
            left_s = max(0.0, min(until_s, silent_s) - now_s)
            if not select.select([self._socket], [], [], left_s)[0]:
                continue
            problem = self._hear(self._socket)
            if problem is not None:
                return problem
        return None

    def _hear(self, receiver: socket.socket) -> Problem | None:
        data, control, _, _ = receiver.recvmsg(
            MAX_DATAGRAM, socket.CMSG_SPACE(_CREDENTIALS.size), socket.MSG_DONTWAIT
        )
        uids = [
            _CREDENTIALS.unpack(content)[1]
            for level, kind, content in control
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
        ]
        if not uids or uids[0] not in self._uids:
            return None
        self._heard_s = time.monotonic()
        if not data.startswith(_BREACH):
            return None
        said = escape(data.removeprefix(_BREACH).decode("utf-8", "replace").strip())[:200]
        return Problem(Cause.ENVELOPE, f"the inference process says: {said}")


def _bound(path: str) -> socket.socket:
    place = Path(path)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            if place.is_socket():
                place.unlink()
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        receiver.bind(path)
        place.chmod(0o666)  # who speaks is asked of the kernel with each datagram
    except OSError as error:
        receiver.close()
        raise StoreError(f"{path}: the health socket cannot be made: {error.strerror}") from error
    return receiver
