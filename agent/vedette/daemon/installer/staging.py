"""A whole target file on the installer's own disk: fetched, counted, hashed, or not there.

Rule 1: a file that broke off stays, and goes on from its length the next time; what it holds is
hashed again, since a power cut may have left zeros in it.
Rule 2: a file whose hash is wrong is removed: going on with it would fail for ever. If it was gone
on with, it is fetched once more from its start before anybody is blamed.
Rule 3: firmware never comes here: it is written to its slot as it comes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from vedette.errors import StoreError
from vedette.model.update import Cause
from vedette.ports.release_source import ReleaseSource
from vedette.store import durable
from vedette.trust.tuf_client import RefusedError, VerifiedTarget

if TYPE_CHECKING:
    from hashlib import _Hash

PIECE_BYTES: Final = 256 << 10
KNOWN: Final = frozenset(
    {"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2b-256"}
)
"""Hashes that we let a role sign with; one that is unknown may be one that is broken."""

_WHOLE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def fetch(
    source: ReleaseSource,
    target: VerifiedTarget,
    path: Path,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Have the content of a target in a file, durably.

    Args:
        source: where it comes from.
        target: what it has to be.
        path: of the file; one that is there already is gone on with.
        progress: told (bytes had, bytes in all) with each piece.

    Raises:
        RefusedError: it is not what was signed; the file is gone.
        FetchError: it could not be fetched to its end; what came stays for the next time.
        StoreError: the disk did not take it.
    """
    had = _fetched(source, target, path, progress)
    if had:  # a power cut may have torn what was gone on with: that is nobody's forgery
        had = _fetched(source, target, path, progress)
    if had is not None:
        raise RefusedError(
            Cause.CONTENT,
            f"{target.path[:200]!a}: its bytes are not those that {target.role} signed",
        )


def is_whole(target: VerifiedTarget, path: Path) -> bool:
    """Whether a file is there and has exactly the content that was signed."""
    digests = _digests(target)
    try:
        with durable.opened(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC) as descriptor:
            is_long = os.fstat(descriptor).st_size == target.length
            return (
                is_long
                and _hash(descriptor, digests) == target.length
                and _matches(target, digests)
            )
    except OSError:
        return False


def _fetched(
    source: ReleaseSource,
    target: VerifiedTarget,
    path: Path,
    progress: Callable[[int, int], None] | None,
) -> int | None:
    """None where it is whole and right; else it is removed: how much was there beforehand."""
    digests = _digests(target)
    try:
        with durable.opened(path, _WHOLE) as descriptor:
            had = _rehash(descriptor, digests, target.length)
            if had < target.length:
                _go_on(source, target, descriptor, had, digests, progress)
            durable.sync(descriptor)
        durable.sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
    if _matches(target, digests):
        return None
    durable.remove(path)
    return had


def _go_on(
    source: ReleaseSource,
    target: VerifiedTarget,
    descriptor: int,
    had: int,
    digests: Mapping[str, _Hash],
    progress: Callable[[int, int], None] | None,
) -> None:
    reader = source.target(target.fetch_path, ((had, target.length - had),))
    buffer = memoryview(bytearray(PIECE_BYTES))
    while count := reader.readinto(buffer):
        durable.write_at(descriptor, buffer[:count], had)
        for digest in digests.values():
            digest.update(buffer[:count])
        had += count
        if progress is not None:
            progress(had, target.length)


def _rehash(descriptor: int, digests: Mapping[str, _Hash], length: int) -> int:
    """What a file holds already, at most the length; anything longer is not of this target."""
    if os.fstat(descriptor).st_size > length:
        durable.disk.ftruncate(descriptor, 0)
    return _hash(descriptor, digests)


def _hash(descriptor: int, digests: Mapping[str, _Hash]) -> int:
    buffer, at = memoryview(bytearray(PIECE_BYTES)), 0
    while count := os.preadv(descriptor, [buffer], at):
        for digest in digests.values():
            digest.update(buffer[:count])
        at += count
    return at


def _digests(target: VerifiedTarget) -> dict[str, _Hash]:
    unknown = sorted(set(target.hashes) - KNOWN)
    if unknown or not target.hashes:
        raise RefusedError(
            Cause.FORMAT,
            f"{target.path[:200]!a}: expected hashes of {', '.join(sorted(KNOWN))}, got "
            f"{', '.join(unknown)[:80]!a}",
        )
    return {name: _digest(name) for name in target.hashes}


def _digest(name: str) -> _Hash:
    if name == "blake2b-256":  # tuf's own name for it
        return cast("_Hash", hashlib.blake2b(digest_size=32))
    return hashlib.new(name)


def _matches(target: VerifiedTarget, digests: Mapping[str, _Hash]) -> bool:
    return all(digest.hexdigest() == target.hashes[name] for name, digest in digests.items())
