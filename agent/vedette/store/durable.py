"""Files that a power cut leaves whole: either the old content or the new one."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from vedette.errors import StoreError

_TEMPORARY = ".new"
_PRIVATE = 0o700


def make_folder(folder: Path) -> None:
    """Make a folder that only we can enter, and its parents; one that is there gets mode 0700.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        if stat.S_IMODE(folder.stat().st_mode) != _PRIVATE:  # a read-only disk refuses even this
            folder.chmod(_PRIVATE)
    except OSError as error:
        raise StoreError(f"{folder}: cannot make the folder: {error.strerror}") from error


def write(path: Path, data: bytes) -> None:
    """Replace a file by new content with mode 0600: new file, fsync, rename, fsync of the folder.

    Raises:
        StoreError: the disk did not take it; the old content stands.
    """
    temporary = path.with_name(path.name + _TEMPORARY)
    try:
        _write_synced(temporary, data)
        temporary.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def read(path: Path, max_bytes: int) -> bytes | None:
    """The content of a file, or None where there is none.

    Raises:
        StoreError: it cannot be read or is longer than expected.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise StoreError(f"{path}: expected at most {max_bytes} bytes, found more")
    return data


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_temporary(path: Path) -> bool:
    """Whether this is a `write` that a power cut ended."""
    return path.name.endswith(_TEMPORARY)


def _write_synced(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
