"""Where what is dear to make is kept: build/cache, or the folder that VEDETTE_CACHE names.

Rule 1: an entry's name holds the hash of all that decides what is in it: it is never out of date.
Rule 2: an entry is whole or not there: it is made beside its place and moved there at its end.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
VARIABLE = "VEDETTE_CACHE"


def cached(kind: str, inputs: bytes, make: Callable[[Path], None], *, kept: int = 0) -> Path:
    """The folder that `make` fills, made when it is missing.

    Args:
        kind: what it is, part of its name.
        inputs: everything that decides what is in it.
        make: fills the new folder that it is given; what it raises leaves nothing behind.
        kept: how many of its kind stay, those used last; 0 for all.

    Returns:
        The folder; it belongs to the cache: copy from it, change nothing.
    """
    folder = root() / f"{kind}-{hashlib.sha256(inputs).hexdigest()[:24]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(f"{folder}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two builds at once make it once
        if not folder.exists():
            _make(folder, make)
        os.utime(folder)
    finally:
        os.close(lock)
    if kept:
        _prune(kind, folder, kept)
    return folder


def root() -> Path:
    """The folder of all entries; it may not exist yet."""
    named = os.environ.get(VARIABLE, "")
    return Path(named).absolute() if named else REPOSITORY / "build/cache"


def _prune(kind: str, used: Path, kept: int) -> None:
    others = [one for one in used.parent.glob(f"{kind}-{'[0-9a-f]' * 24}") if one != used]
    others.sort(key=lambda one: one.stat().st_mtime, reverse=True)
    for old in others[kept - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
        Path(f"{old}.lock").unlink(missing_ok=True)


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        make(new)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
