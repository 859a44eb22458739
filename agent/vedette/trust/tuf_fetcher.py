"""What tuf asks for comes from a source of ours: whole, bounded, never by a temporary file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.api.serialization import DeserializationError
from tuf.ngclient import FetcherInterface, UpdaterConfig

from vedette.codec.strict_json import parse
from vedette.errors import AbsentError, FetchError, ParseError
from vedette.ports.release_source import ReleaseSource

BASE: Final = "metadata:/"
NOT_FOUND: Final = 404

CONFIG: Final = UpdaterConfig(
    max_root_rotations=256,
    max_delegations=32,
    root_max_length=256 << 10,
    timestamp_max_length=16 << 10,
    snapshot_max_length=256 << 10,
    targets_max_length=1 << 20,
)
"""As tuf's own, but smaller: JSON takes about ten times its size in memory, and we have 16 MB."""


class SourceFetcher(FetcherInterface):
    """Lets tuf ask a source of ours for its metadata; whole, bounded, never by a temporary file."""

    def __init__(self, source: ReleaseSource) -> None:
        self._source = source

    def _fetch(self, url: str) -> Iterator[bytes]:
        return iter((self.download_bytes(url, CONFIG.targets_max_length),))

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """One metadata file.

        Raises:
            DownloadHTTPError: with status 404 where there is none.
            DownloadError: it could not be fetched.
            DeserializationError: it is no JSON that has one meaning.
        """
        name = url.removeprefix(BASE)
        try:
            data = self._source.metadata(name, max_length)
        except AbsentError as error:
            raise DownloadHTTPError(str(error), NOT_FOUND) from error
        except FetchError as error:
            raise DownloadError(str(error)) from error
        try:
            parse(data, max_bytes=max_length)
        except ParseError as error:
            raise DeserializationError(f"{name}: {error}") from error
        return data
