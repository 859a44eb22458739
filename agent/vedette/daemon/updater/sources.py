"""Where releases come from, from the words of a configuration or a command line."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from vedette.daemon.updater.archive_source import ArchiveSource
from vedette.daemon.updater.directory_source import DirectorySource
from vedette.daemon.updater.pace import Pace
from vedette.errors import ConfigError
from vedette.ports.release_source import ReleaseSource

METADATA: Final = "metadata"
TARGETS: Final = "targets"

LATE: Final = (
    "vedette.daemon.updater.http_source", "urllib3.response", "encodings.idna", "stringprep",
)  # fmt: skip
"""What is imported with the first request; socket asks for the codec of host names by name."""


def open_source(
    metadata: str, targets: str = "", *, limit_bytes_s: int = 0, ca_file: str = ""
) -> ReleaseSource:
    """A source from two places; both on a server, both folders, or both in one archive.

    Args:
        metadata: URL of http, https or file, or an absolute path, whose folder may be an archive.
        targets: the same; "" where only metadata is wanted.
        limit_bytes_s: bandwidth from a server; 0 for no limit.
        ca_file: certificates to believe instead of the system's; "" for those.

    Raises:
        ConfigError: it is neither, or one of each.
    """
    targets = targets or metadata
    folders = folder_of(metadata), folder_of(targets)
    if folders[0] is not None and folders[1] is not None:
        archive = folders[0].parent
        if archive == folders[1].parent and archive.is_file():
            return ArchiveSource(archive)
        return DirectorySource(folders[0], folders[1])
    if folders[0] is not None or folders[1] is not None:
        raise ConfigError(f"expected two folders or two URLs, got {metadata!a} and {targets!a}")
    # urllib3 and ssl take 50 ms and 8 MB, which a folder does not need.
    from vedette.daemon.updater.connections import Connections  # noqa: PLC0415
    from vedette.daemon.updater.http_source import HttpSource  # noqa: PLC0415

    connections = Connections(ca_file=ca_file)
    return HttpSource(metadata, targets, connections=connections, pace=Pace(limit_bytes_s))


def load(metadata: str) -> None:
    """Import all that a source of this place will use, while its files can still be read."""
    if folder_of(metadata) is None:
        for name in LATE:
            importlib.import_module(name)


def places(repository: str) -> tuple[str, str]:
    """Metadata and targets of a repository, from its one URL or path.

    Raises:
        ConfigError: it is neither.
    """
    base = repository.rstrip("/")
    folder_of(base)
    return f"{base}/{METADATA}", f"{base}/{TARGETS}"


def folder_of(place: str) -> Path | None:
    """The folder that a place is, or None for a server.

    Raises:
        ConfigError: it is neither.
    """
    if place.startswith("/"):
        return Path(place)
    try:
        parts = urlsplit(place)
    except ValueError as error:
        raise ConfigError(f"expected a URL, got {place!a}: {error}") from error
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return Path(unquote(parts.path))
    if "@" in parts.netloc:
        raise ConfigError(
            "expected a URL without a user or password, which the process list would show: "
            "releases are signed and need no secret"
        )
    if parts.scheme in {"http", "https"} and parts.hostname:
        return None
    raise ConfigError(f"expected a URL of http, https or file, or an absolute path, got {place!a}")
