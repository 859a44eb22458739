"""Frames of codec.install_link over a stream socket, whole and bounded; both ends use it.

Rule: a frame is received into one buffer, made once; what `receive` returns is good until the next
call.
"""

from __future__ import annotations

import socket

from vedette.codec.install_link import (
    LENGTH,
    MAX_FRAME_BYTES,
    Frame,
    data_head,
    decode,
    encode,
    frame_length,
)
from vedette.errors import DeviceError, ParseError

SILENCE_S = 600.0
"""The longest that one end waits for the other: a server may dribble, but not for ever."""


class LinkError(DeviceError):
    """The other end is gone, silent, or broke off."""


class FrameStream:
    """One end of the pair.

    Args:
        end: of a SOCK_STREAM pair; closed by `close`.
        silence_s: how long the other end may take for the next bytes.
    """

    def __init__(self, end: socket.socket, *, silence_s: float = SILENCE_S) -> None:
        self._end = end
        self._end.settimeout(silence_s)
        self._buffer = bytearray(MAX_FRAME_BYTES)

    def send(self, frame: Frame) -> None:
        """Send one frame.

        Raises:
            LinkError: the other end is gone or does not take it.
        """
        self._send(encode(frame))

    def send_data(self, data: memoryview) -> None:
        """Send bytes as Data, without a copy of them.

        Args:
            data: 1 to MAX_DATA_BYTES.

        Raises:
            LinkError: the other end is gone or does not take it.
        """
        head = data_head(len(data))
        try:
            sent = self._end.sendmsg([head, data])
        except OSError as error:
            raise LinkError(f"the other end of the link does not take data: {error}") from error
        if sent < len(head):
            self._send(head[sent:])
            sent = len(head)
        if sent < len(head) + len(data):
            self._send(data[sent - len(head) :])

    def receive(self) -> Frame | None:
        """The next frame; None when the other end closed after the last.

        Raises:
            ParseError: it is no frame.
            LinkError: the other end broke off within one, or is silent.
        """
        view = memoryview(self._buffer)
        if not self._fill(view[: LENGTH.size], is_start=True):
            return None
        length = frame_length(view[: LENGTH.size])
        self._fill(view[:length], is_start=False)
        return decode(view[:length])

    def close(self) -> None:
        """End it."""
        self._end.close()

    def _send(self, data: bytes | memoryview) -> None:
        try:
            self._end.sendall(data)
        except OSError as error:
            raise LinkError(f"the other end of the link does not take data: {error}") from error

    def _fill(self, view: memoryview, *, is_start: bool) -> bool:
        filled = 0
        while filled < len(view):
            try:
                count = self._end.recv_into(view[filled:])
            except OSError as error:
                raise LinkError(f"the other end of the link is silent: {error}") from error
            if count == 0 and is_start and filled == 0:
                return False
            if count == 0:
                raise LinkError("the other end of the link broke off within a frame")
            filled += count
        return True


def unexpected(frame: Frame | None) -> ParseError:
    """For an answer that does not belong there."""
    return ParseError(f"expected another frame, got {type(frame).__name__}")
