"""The updater at the other end of the link, as a source of releases.

Rule 1: bytes are counted here: an answer that is shorter or longer than what was asked for is a
FetchError, whatever the updater says of it.
Rule 2: a link that broke once stays broken: each later call says so.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from vedette.codec.install_link import (
    Absent,
    Data,
    End,
    Failed,
    Frame,
    Leave,
    WantMetadata,
    WantTarget,
    check_runs,
)
from vedette.daemon.frame_stream import SILENCE_S, FrameStream, LinkError
from vedette.errors import AbsentError, FetchError, ParseError
from vedette.ports.image_source import ImageSource, Run
from vedette.ports.release_source import Reader, ReleaseSource


class LinkedSource(ReleaseSource):
    """What the updater can reach.

    One answer at a time: a reader that was not read to its end is read to its end, unseen, by the
    next call.

    Args:
        end: of the pair.
        silence_s: how long the updater may take for the next bytes.
    """

    def __init__(self, end: socket.socket, *, silence_s: float = SILENCE_S) -> None:
        self._stream = FrameStream(end, silence_s=silence_s)
        self._open: _Answer | None = None
        self._broken = ""

    def metadata(self, name: str, max_bytes: int) -> bytes:
        """One whole metadata file.

        Raises:
            AbsentError: the updater found none.
            FetchError: it could not fetch it, or the link broke.
            ValueError: no file has such a name.
        """
        answer = self._ask(WantMetadata(name, max_bytes))
        found = bytearray()
        while (piece := answer.next()) is not None:
            found += piece
            if len(found) > max_bytes:
                raise self._break(f"{name}: expected at most {max_bytes} bytes, got more")
        return bytes(found)

    def target(self, path: str, runs: Sequence[tuple[int, int]]) -> Reader:
        """Parts of a target file, back to back."""
        total = check_runs(runs)
        try:
            answer = self._ask(WantTarget(path, tuple(runs)))
        except ValueError as error:  # a path that its role may sign, and nobody can ask for
            raise FetchError(f"cannot be asked for: {error}") from error
        return _Counted(answer, total, path)

    def close(self) -> None:
        """Break off: the updater keeps what it has for the next try."""
        self._stream.close()

    def leave(self) -> None:
        """Say that this was all, and close the link."""
        try:
            self._stream.send(Leave())
        except LinkError:
            pass  # it is gone already
        finally:
            self._stream.close()

    def next_frame(self) -> Frame:
        """The next frame of an answer.

        Raises:
            FetchError: the link broke.
        """
        if self._broken:
            raise FetchError(self._broken)
        try:
            frame = self._stream.receive()
        except (ParseError, LinkError) as error:
            raise self._break(f"the updater broke off: {error}") from error
        if frame is None:
            raise self._break("the updater ended before its answer")
        return frame

    def _break(self, reason: str) -> FetchError:
        self._broken = reason
        return FetchError(reason)

    def _ask(self, frame: WantMetadata | WantTarget) -> _Answer:
        if self._open is not None:
            self._open.drop()
        if self._broken:
            raise FetchError(self._broken)
        try:
            self._stream.send(frame)
        except LinkError as error:
            raise self._break(f"the updater is gone: {error}") from error
        self._open = _Answer(self)
        return self._open


class _Answer:
    """The frames of one answer."""

    def __init__(self, source: LinkedSource) -> None:
        self._source = source
        self._is_over = False

    def next(self) -> memoryview | None:
        """The next bytes; None at the end."""
        if self._is_over:
            return None
        frame = self._source.next_frame()
        if isinstance(frame, Data):
            return frame.data
        self._is_over = True
        match frame:
            case End():
                return None
            case Absent(reason):
                raise AbsentError(reason)
            case Failed(reason):
                raise FetchError(reason)
        raise FetchError(f"expected an answer of the updater, got {type(frame).__name__}")

    def drop(self) -> None:
        """Read it to its end, unseen."""
        try:
            while self.next() is not None:
                pass
        except FetchError:
            return


class _Counted(Reader):
    """Exactly so many bytes of an answer."""

    def __init__(self, answer: _Answer, total: int, path: str) -> None:
        self._answer, self._left, self._path = answer, total, path
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of the buffer, from its start."""
        if not self._rest:
            piece = self._answer.next()
            if piece is None:
                if self._left:
                    raise FetchError(f"{self._path}: expected {self._left} more bytes, got none")
                return 0
            if len(piece) > self._left:
                raise FetchError(f"{self._path}: expected {self._left} more bytes, got more")
            self._left -= len(piece)
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class TargetImage(ImageSource):
    """One target file, for who writes images (ports.image_source).

    Args:
        source: that has it.
        path: to ask for.
    """

    def __init__(self, source: ReleaseSource, path: str) -> None:
        self._source, self._path = source, path

    def read(self, runs: Sequence[Run]) -> Reader:
        """Ask for parts of the image."""
        return self._source.target(self._path, runs)
