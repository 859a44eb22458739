"""The uplink's end of the link to the sentinel.

Rule 1: the loop never waits for the sentinel: what it does not take now is kept and written later.
Rule 2: outcomes and session changes are never dropped (the sentinel's window bounds them); hints
and what is handed down are, and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable

from vedette.codec import link
from vedette.errors import ParseError

MAX_WAITING = 256
"""Frames kept for a sentinel that does not read; hints above it are dropped."""
MAX_WAITING_DOWN = 16
"""Frames that wait when nothing more is handed down: 256 KiB of what strangers sent."""

_FRAMES_PER_READ = 64


class Wire:
    """A connected SOCK_SEQPACKET socket to the sentinel.

    Args:
        path: of the sentinel's socket.
        on_frame: takes each frame as it comes.

    Attributes:
        ended: done when the sentinel left or is gone; its result is for people.
        was_orderly: the sentinel said that it leaves.
    """

    def __init__(self, path: str, on_frame: Callable[[link.Frame], None]) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._on_frame = on_frame
        self._waiting: deque[bytes] = deque()
        self._is_closed = False
        self.ended: asyncio.Future[str] = self._loop.create_future()
        self.was_orderly = False
        self.lost_hints = 0
        self.lost_down = 0
        self._loop.add_reader(self._socket, self._read)

    def say(self, frame: link.Session | link.Result | link.Hearing | link.Alive) -> None:
        """Tell what must arrive."""
        self._waiting.append(link.encode(frame))
        self._flush()

    def hint(self, frame: link.Hints) -> None:
        """Tell what may be lost."""
        if len(self._waiting) >= MAX_WAITING:
            self.lost_hints += len(frame.queried) + len(frame.resolved) + frame.lost
            return
        if self.lost_hints:
            frame = frame._replace(lost=frame.lost + self.lost_hints)
            self.lost_hints = 0
        self._waiting.append(link.encode(frame))
        self._flush()

    def hand_down(self, data: bytes) -> None:
        """Hand on what was published for this device, unless it is too large or too much waits."""
        if len(data) > link.MAX_DOWN_BYTES or len(self._waiting) >= MAX_WAITING_DOWN:
            self.lost_down += 1
            return
        lost, self.lost_down = self.lost_down, 0
        self._waiting.append(link.encode(link.Down(data, lost)))
        self._flush()

    def end(self, reason: str) -> None:
        """Stop reading; `ended` becomes done. What waits can still be written until `close`."""
        if not self.ended.done():
            self._loop.remove_reader(self._socket)
            self.ended.set_result(reason)

    def close(self) -> None:
        """Write what can be written, then close. Safe to call twice."""
        if self._is_closed:
            return
        self.end("closed")
        self._flush()
        self._is_closed = True
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def _read(self) -> None:
        for _ in range(_FRAMES_PER_READ):
            if self.ended.done():
                return
            try:
                data = self._socket.recv(link.MAX_FRAME_BYTES + 1)
            except BlockingIOError:
                return
            except OSError as error:
                self.end(f"the sentinel is gone: {error.strerror}")
                return
            if not data:
                self.end("the sentinel is gone")
                return
            try:
                frame = link.decode(data)
            except ParseError as error:
                self.end(f"the sentinel sent what is no frame: {error}")
                return
            self._take(frame)

    def _take(self, frame: link.Frame) -> None:
        if isinstance(frame, link.Leave):
            self.was_orderly = True
            self.end("the sentinel leaves")
        else:
            self._on_frame(frame)

    def _flush(self) -> None:
        if self._is_closed:
            return
        while self._waiting:
            try:
                self._socket.send(self._waiting[0])
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
                return
            except OSError as error:
                self._waiting.clear()
                self.end(f"the sentinel is gone: {error.strerror}")
                break
            self._waiting.popleft()
        if self.lost_down and not self._waiting:
            self.hand_down(b"")  # nothing more may come that could say so
        with contextlib.suppress(ValueError):
            self._loop.remove_writer(self._socket)
