"""Files that commands write: whole or not at all, after a power cut too."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def create_file(file: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a new file whole, with its name synced; one that is there is never touched.

    Raises:
        OSError: there is one (FileExistsError), or the disk did not take it: then there is none.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(file, flags, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)  # whatever the umask is
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        sync_folder(file.parent)
    except OSError:
        file.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: the disk did not take it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(file: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file whole: a reader sees the old content or the new one.

    Raises:
        OSError: the disk did not take it; what was there is there still.
    """
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        Path(name).replace(file)
        sync_folder(file.parent)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
