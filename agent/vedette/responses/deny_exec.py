"""Denies the execution of a file, by its content and by its path, until that is undone.

Rule 1: the ban lives in the running agent, which alone talks to the holder: it is asked over
`deny.sock` in its run folder, and answers when the ban is in force, not before.
Rule 2: what runs already goes on: ending it is another response.
Rule 3: nothing is written and nothing of the file is touched, so undoing is exact by nature; after
a restart of the agent the ban is asked for again.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from pathlib import Path
from typing import Final

from vedette.codec.ban_line import (
    LINE_BYTES_MAX,
    Held,
    Pardon,
    Request,
    encode_request,
    parse_answer,
)
from vedette.errors import ParseError, ResponseError
from vedette.model.ban import Ban
from vedette.model.response import FileTarget, Order, Outcome, ResponseStatus, UndoRecord
from vedette.ports.responder import Responder

SOCKET: Final = "/run/vedette/deny.sock"
TALK_TIMEOUT_S: Final = 8.0
"""A holder that has just been started again has to be waited for."""
READ_BYTES: Final = 1 << 20
MAX_BYTES: Final = 256 << 20
"""A larger file is banned by its path alone: hashing it takes longer than a response may."""


class DenyExec(Responder):
    """Denies executing a file."""

    target_type = FileTarget
    has_undo = True
    outlives_reboot = True
    timeout_s = 10.0

    def unavailable(self) -> str:
        """Whether a holder runs."""
        if Path(self._socket).is_socket():
            return ""
        return (
            "no holder of executions runs: set enabled = true in [deny] of the configuration "
            "(kernel: CONFIG_FANOTIFY_ACCESS_PERMISSIONS=y)"
        )

    def plan(self, order: Order) -> UndoRecord:
        """Which file: by content where it is known or can be read, by path in any case."""
        target = order.target
        if not isinstance(target, FileTarget):
            raise ResponseError(f"expected a file to deny, got {type(target).__name__}")
        path = os.path.realpath(target.path)
        self._check_touchable(path)
        digest, size = _content(path)
        if target.sha256 and digest and digest != target.sha256:
            raise ResponseError(
                f"expected the file judged ({target.sha256[:16]}…) at its path, got other content "
                f"({digest[:16]}…): it was replaced meanwhile"
            )
        if not target.sha256 and not digest:
            raise ResponseError("the file is gone or cannot be read, and its digest is not known")
        return {"path": path, "sha256": target.sha256 or digest, "size": size}

    def act(self, order: Order, record: UndoRecord) -> Outcome:
        """Ask for the ban, unless the file became untouchable or another one meanwhile."""
        path, digest = str(record["path"]), str(record["sha256"])
        try:
            self._check_touchable(path)
        except ResponseError as error:
            return Outcome(ResponseStatus.REFUSED, str(error), {})
        found, _ = _content(path)
        banned_path = path if found in {"", digest} else ""
        ban = Ban(order.response_id, digest, int(record["size"]), banned_path)
        why_not = self._ask(ban)
        if why_not:
            return Outcome(ResponseStatus.FAILED, f"not denied: {why_not}", {})
        where = "at its path and elsewhere" if banned_path else "wherever it is; its path is not"
        detail = f"the content {digest[:16]}… can no longer be executed, {where}"
        return Outcome(ResponseStatus.DONE, detail, {"sha256": digest})

    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        """Take the ban back; where no holder runs there is none."""
        del record
        if not self.unavailable():
            why_not = self._ask(Pardon(order.response_id))
            if why_not:
                return Outcome(ResponseStatus.FAILED, f"still denied: {why_not}", {})
        return Outcome(ResponseStatus.UNDONE, "the file may be executed again", {})

    def holds(self, order: Order, record: UndoRecord) -> bool:
        """Whether the holder denies it now."""
        del record
        return not self._ask(Held(order.response_id))

    @property
    def _socket(self) -> str:
        return str(self.context.options.get("socket", SOCKET))

    def _check_touchable(self, path: str) -> None:
        for own in self.context.untouchable_paths:
            if path == own or path.startswith(own.rstrip("/") + "/"):
                raise ResponseError("it belongs to what may never be touched")

    def _ask(self, request: Request) -> str:
        """Why not, or "" when it is done."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as talk:
                talk.settimeout(TALK_TIMEOUT_S)
                talk.connect(self._socket)
                talk.sendall(encode_request(request))
                return parse_answer(_line(talk))
        except (OSError, ParseError) as error:
            return f"the agent's holder cannot be asked ({error})"


def _line(talk: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n") and len(received) < LINE_BYTES_MAX:
        piece = talk.recv(LINE_BYTES_MAX)
        if not piece:
            break
        received += piece
    return received


def _content(path: str) -> tuple[str, int]:
    """Digest and size of a regular file, ("", 0) where it cannot be read or is too large."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return "", 0
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            return "", 0
        hasher, size = hashlib.sha256(), 0
        while piece := os.read(descriptor, READ_BYTES):
            hasher.update(piece)
            size += len(piece)
    except OSError:
        return "", 0
    finally:
        os.close(descriptor)
    return hasher.hexdigest(), size


responder_class = DenyExec
