"""A web server of static files as a source of releases.

Rule 1: what breaks off is asked for again from where it broke (RFC 9110 14.2); a server that
ignores ranges is read from the start, and what was had is passed over.
Rule 2: every byte is counted against what was asked for; a server's own counts are only held
against it.
Rule 3: tries are bounded: some, and one more for each MiB that came.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

from vedette.codec.install_link import check_runs
from vedette.core.jitter import pause_s
from vedette.daemon.updater.connections import Answer, Connections
from vedette.daemon.updater.pace import Pace
from vedette.errors import AbsentError, FetchError
from vedette.ports.release_source import Reader, ReleaseSource

TRIES: Final = 5
METADATA_TRIES: Final = 3
BYTES_A_TRY: Final = 1 << 20
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0

_SAFE: Final = "/%!$&'()*+,;=:@~"
"""A target's path is a part of a URL already (TUF 4.5); only what would end it is quoted."""

NEAR_BYTES: Final = 8192
"""A gap that costs less to receive than another request."""


class HttpSource(ReleaseSource):
    """Metadata and targets below two URLs.

    Args:
        metadata_url, targets_url: of http or https; the last slash may be missing.
        connections: to the server.
        pace: how fast bytes may come.
        sleep: between tries.
    """

    def __init__(
        self,
        metadata_url: str,
        targets_url: str,
        *,
        connections: Connections,
        pace: Pace,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._metadata_url = metadata_url.rstrip("/") + "/"
        self._targets_url = targets_url.rstrip("/") + "/"
        self._connections, self._pace, self._sleep = connections, pace, sleep

    def metadata(self, name: str, max_bytes: int) -> bytes:
        """One whole metadata file."""
        failures = 0
        while True:
            try:
                return self._metadata(self._metadata_url + name, max_bytes)
            except AbsentError:
                raise
            except FetchError:
                failures += 1
                if failures >= METADATA_TRIES:
                    raise
                self.pause(failures)

    def target(self, path: str, runs: Sequence[tuple[int, int]]) -> Reader:
        """Parts of a target file, back to back."""
        check_runs(runs)
        reader = HttpReader(self, self._targets_url + quote(path, safe=_SAFE), _joined(runs))
        reader.open()
        return reader

    def ask(self, url: str, start: int, stop: int) -> Answer:
        """Ask for bytes `start` to `stop`; a server may answer with all of them."""
        self._pace.begin()
        return self._connections.get(url, {"Range": f"bytes={start}-{stop - 1}"})

    def read(self, answer: Answer, most: int) -> bytes:
        """What has come, at the pace that is allowed; b"" at the end."""
        data = answer.read(min(most, self._pace.piece_bytes))
        self._pace.took(len(data))
        return data

    def pause(self, failures: int) -> None:
        """Wait before the next try."""
        chance = random.random()  # noqa: S311 (spreads a fleet, hides nothing)
        self._sleep(pause_s(failures, FIRST_PAUSE_S, LONGEST_PAUSE_S, chance))

    def _metadata(self, url: str, max_bytes: int) -> bytes:
        self._pace.begin()
        answer = self._connections.get(url, {})
        if answer.length is not None and answer.length > max_bytes:
            answer.close()
            raise TooLongError(url, max_bytes)
        found = bytearray()
        while data := self.read(answer, max_bytes + 1 - len(found)):
            found += data
            if len(found) > max_bytes:
                answer.close()
                raise TooLongError(url, max_bytes)
        if answer.length is not None and len(found) != answer.length:
            answer.close()
            raise FetchError(f"{url[:200]!a}: expected {answer.length} bytes, got {len(found)}")
        answer.done()
        return bytes(found)


class TooLongError(FetchError):
    """A file that is larger than anything we ask for."""

    def __init__(self, url: str, most: int) -> None:
        super().__init__(f"{url[:200]!a}: expected at most {most} bytes, got more")


class HttpReader(Reader):
    """Runs of one file; a broken line is taken up again.

    Args:
        source: that it comes from.
        url: of the file.
        spans: requests to make, each with the runs in it that are wanted, as (start, stop).
    """

    def __init__(self, source: HttpSource, url: str, spans: list[list[tuple[int, int]]]) -> None:
        self._source, self._url, self._spans = source, url, spans
        self._answer: Answer | None = None
        self._at = self._got = self._failures = 0

    def open(self) -> None:
        """Ask for the first bytes, so that a file that is not there is told at once."""
        while self._answer is None:
            try:
                self._answer = self._ask()
            except AbsentError:
                raise
            except FetchError as error:
                self._failed(error)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill some of the buffer, from its start."""
        while self._spans:
            try:
                data = self._read(len(buffer))
            except AbsentError:
                raise
            except FetchError as error:
                self._failed(error)
                continue
            buffer[: len(data)] = data
            return len(data)
        return 0

    def _read(self, most: int) -> bytes:
        start, stop = self._spans[0][0]
        if self._answer is None:
            self._answer = self._ask()
        while self._at < start:  # a gap, or a server that began at the beginning
            self._piece(self._answer, start - self._at)
        data = self._piece(self._answer, min(stop - start, most))
        self._got += len(data)
        self._had(start + len(data))
        return data

    def _piece(self, answer: Answer, most: int) -> bytes:
        data = self._source.read(answer, most)
        if not data:
            raise FetchError(f"{self._url[:200]!a}: ended at byte {self._at}")
        self._at += len(data)
        return data

    def _ask(self) -> Answer:
        start, stop = self._spans[0][0][0], self._spans[0][-1][1]
        answer = self._source.ask(self._url, start, stop)
        if answer.is_partial and answer.start != start:
            answer.close()
            raise FetchError(
                f"{self._url[:200]!a}: expected a part from byte {start}, got {answer.start}"
            )
        self._at = answer.start
        return answer

    def _had(self, upto: int) -> None:
        """All that was wanted before this byte is had."""
        span = self._spans[0]
        stop = span[0][1]
        if upto < stop:
            span[0] = (upto, stop)
            return
        span.pop(0)
        if not span:
            self._spans.pop(0)
            self._end_span()

    def _end_span(self) -> None:
        """A whole file that was sent instead of a part goes on to the next span in it."""
        if self._answer is not None and (self._answer.is_partial or not self._spans):
            self._answer.done()
            self._answer = None

    def _failed(self, error: FetchError) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None
        self._failures += 1
        if self._failures >= TRIES + self._got // BYTES_A_TRY:
            raise error
        self._source.pause(min(self._failures, TRIES))


def _joined(runs: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Runs as (start, stop), those near each other in one request."""
    spans: list[list[tuple[int, int]]] = []
    for offset, length in runs:
        if spans and offset - spans[-1][-1][1] <= NEAR_BYTES:
            spans[-1].append((offset, offset + length))
        else:
            spans.append([(offset, offset + length)])
    return spans
