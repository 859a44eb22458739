"""The numbers that operators' keys have used: a file beside each key.

Rule: a number is on the disk before it is signed, so that no crash makes two commands of one
number. It begins at the clock's milliseconds: where the file was lost, the next one is still above.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from vedette.errors import RequestError, StoreError

_SUFFIX = ".number"
_MAX_BYTES = 32
_MAX_NUMBER = 2**53 - 1


def next_number(key: Path) -> int:
    """A number that this key has not used before.

    Args:
        key: its private key's file.

    Raises:
        RequestError: the file beside it holds no number.
        StoreError: it cannot be written.
    """
    path = key.with_name(key.name + _SUFFIX)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            number = max(_last(path, stream.read(_MAX_BYTES) or b"") + 1, _milliseconds())
            stream.seek(0)
            stream.truncate()
            stream.write(b"%d\n" % number)
            os.fsync(stream.fileno())
    except OSError as error:
        raise StoreError(
            f"{path}: cannot keep the number of the last command ({error.strerror}); it has to be "
            "kept beside the key"
        ) from error
    return number


def _last(path: Path, data: bytes) -> int:
    text = data.strip()
    if not text:
        return 0
    if not text.isdigit() or int(text) >= _MAX_NUMBER:
        raise RequestError(
            f"{path}: expected the number of the last command, got {text[:20]!a}; write there the "
            "highest number that a receipt of this key shows"
        )
    return int(text)


def _milliseconds() -> int:
    return max(1, time.time_ns() // 1_000_000)
