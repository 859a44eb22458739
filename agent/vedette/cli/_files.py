"""Files that commands write: whole or not at all, after a power cut too."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


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
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
