"""A folder, such as a USB stick, as a source of releases: the same path as a server (no short cut).

Rule: only plain files below the folder are read, reached without a link; a device, a pipe or a way
out of the folder is as if it were not there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from vedette.codec.install_link import check_runs
from vedette.daemon.updater.file_reader import FileReader
from vedette.errors import AbsentError, FetchError
from vedette.ports.release_source import Reader, ReleaseSource

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe would block an open for reading until somebody writes.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class DirectorySource(ReleaseSource):
    """Metadata and targets in two folders.

    Args:
        metadata, targets: the folders; links on the way to them are followed.
    """

    def __init__(self, metadata: Path, targets: Path) -> None:
        self._metadata, self._targets = metadata, targets

    def metadata(self, name: str, max_bytes: int) -> bytes:
        """One whole metadata file, its name unquoted as a web server would."""
        descriptor = _open(self._metadata, unquote(name))
        try:
            with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
                data = file.read(max_bytes + 1)
        except OSError as error:
            raise FetchError(f"{self._metadata / name}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        if len(data) > max_bytes:
            raise FetchError(f"{name}: expected at most {max_bytes} bytes, got more")
        return data

    def target(self, path: str, runs: Sequence[tuple[int, int]]) -> Reader:
        """Parts of a target file, back to back."""
        check_runs(runs)
        return FileReader(_open(self._targets, path), path, list(runs))


def _open(base: Path, path: str) -> int:
    """A plain file below a folder.

    Raises:
        AbsentError: there is none by that name, or only something else.
        FetchError: it cannot be opened.
    """
    *folders, name = path.split("/")
    if not name or any(part in {"", ".", ".."} for part in (*folders, name)) or "\0" in path:
        raise AbsentError(f"expected a path below {base}, got {path[:200]!a}")
    try:
        here = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FetchError(f"{base}: cannot be opened: {error.strerror}") from error
    try:
        for folder in folders:
            inner = os.open(folder, _FOLDER, dir_fd=here)
            os.close(here)
            here = inner
        return _plain(os.open(name, _FILE, dir_fd=here), path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AbsentError(f"{base / path}: not there") from error
    except OSError as error:
        raise FetchError(f"{base}: cannot open {path[:200]!a}: {error.strerror}") from error
    finally:
        os.close(here)


def _plain(descriptor: int, path: str) -> int:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise AbsentError(f"{path[:200]!a}: expected a plain file")
