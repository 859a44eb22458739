"""Answers the installer's questions from a source, until it has no more.

Rule: an answer is Data frames and then one word that says how it ended; what goes wrong here is
told in words and never ends the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vedette.codec.install_link import (
    MAX_DATA_BYTES,
    Absent,
    End,
    Failed,
    Frame,
    Leave,
    WantMetadata,
    WantTarget,
)
from vedette.daemon.frame_stream import FrameStream, unexpected
from vedette.errors import AbsentError, FetchError
from vedette.ports.release_source import ReleaseSource


class UpdaterService:
    """One session.

    Args:
        stream: to the installer.
        source: where the answers come from.
        forget: called when the installer has said that it needs nothing twice.
    """

    def __init__(
        self, stream: FrameStream, source: ReleaseSource, forget: Callable[[], None]
    ) -> None:
        self._stream, self._source, self._forget = stream, source, forget
        self._buffer = memoryview(bytearray(MAX_DATA_BYTES))

    def run(self) -> None:
        """Serve until the installer leaves or is gone.

        Raises:
            LinkError: the installer is gone in the middle of an answer.
            ParseError: it said what it never says.
        """
        while True:
            frame = self._stream.receive()
            match frame:
                case WantMetadata() | WantTarget():
                    self._answer(frame)
                case Leave():
                    self._forget()
                    return
                case None:
                    return
                case _:
                    raise unexpected(frame)

    def _answer(self, frame: WantMetadata | WantTarget) -> None:
        end: Frame = End()
        try:
            for piece in self._pieces(frame):
                self._stream.send_data(piece)
        except AbsentError as error:
            end = Absent(str(error))
        except FetchError as error:
            end = Failed(str(error))
        self._stream.send(end)

    def _pieces(self, frame: WantMetadata | WantTarget) -> Iterator[memoryview]:
        if isinstance(frame, WantMetadata):
            data = memoryview(self._source.metadata(frame.name, frame.max_bytes))
            for start in range(0, len(data), MAX_DATA_BYTES):
                yield data[start : start + MAX_DATA_BYTES]
            return
        reader = self._source.target(frame.path, frame.runs)
        while count := reader.readinto(self._buffer):
            yield self._buffer[:count]
