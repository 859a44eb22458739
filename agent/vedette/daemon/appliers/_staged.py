"""A file of a release on the installer's own disk: fetched, resumed, hashed, or refused."""

from __future__ import annotations

from pathlib import Path

from vedette.daemon.installer import staging
from vedette.errors import StoreError
from vedette.model.release import ROLES, ReleaseKind, TargetFile
from vedette.ports.release_source import ReleaseSource
from vedette.store import durable
from vedette.trust.tuf_client import VerifiedTarget


def verified(file: TargetFile, kind: ReleaseKind) -> VerifiedTarget:
    """A file that a verified release names, as one that its role signed: its digest was signed."""
    folder, _, name = file.path.rpartition("/")
    fetch_path = f"{folder}/{file.sha256}.{name}"
    return VerifiedTarget(
        file.path, file.length, {"sha256": file.sha256}, None, ROLES[kind], fetch_path
    )


def fetch(source: ReleaseSource, file: TargetFile, kind: ReleaseKind, folder: Path) -> Path:
    """Have a file of a release whole in a folder of ours.

    Returns:
        Where it lies; the caller removes it when it is not needed any more.

    Raises:
        RefusedError: it is not what was signed.
        FetchError: it could not be fetched to its end; what came stays for the next time.
        StoreError: the disk did not take it.
    """
    durable.make_folder(folder)
    path = folder / file.sha256
    staging.fetch(source, verified(file, kind), path)
    return path


def content(path: Path, max_bytes: int) -> bytes:
    """A staged file in memory.

    Raises:
        StoreError: it is gone, or longer than it may be.
    """
    found = durable.read(path, max_bytes)
    if found is None:
        raise StoreError(f"{path}: expected what was just fetched, found nothing")
    return found
