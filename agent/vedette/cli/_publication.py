"""Makes what is staged public: metadata, then a new snapshot, then the timestamp that names it.

Rule 1: nothing is written that misses a threshold under the root and delegations that go with it.
Rule 2: a version that is there is never written with other bytes.
Rule 3: timestamp.json is written last, so that a publication that was cut is none; the next one
goes on from there.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, MetaFile, Signed, Snapshot, Timestamp

from vedette.cli import _repository_plan as plans
from vedette.cli._files import replace_file
from vedette.cli._repository import AnyMetadata, Repository
from vedette.cli._repository_plan import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from vedette.errors import RequestError

ISSUED = "x-vedette-issued"
"""In timestamp.json: Unix time of its signing, which a device without a clock believes."""


def publish(repository: Repository) -> list[str]:
    """Publish all that is staged.

    Returns:
        Names of the files of metadata that were written, in order.

    Raises:
        RequestError: nothing is staged, or signatures are missing; then nothing was written.
    """
    taken = [role for role in plans.ALL_ROLES if repository.staged(role)]
    if not taken:
        raise RequestError("nothing is staged: make a release first, or see: vedette repo status")
    if repository.staged_trust.exists():
        raise RequestError(
            "the staged trust document misses signatures of the root: run `vedette repo sign` "
            "where those keys are; nothing was published"
        )
    names = _write(repository, taken, is_snapshot_new=True)
    for role in taken:
        repository.staged_file(role).unlink(missing_ok=True)
    return names


def refresh(repository: Repository, *, is_snapshot_new: bool) -> list[str]:
    """Sign the timestamp anew, and the snapshot if asked; what is staged stays staged.

    Raises:
        RequestError: nothing was ever published, or the keys are not here.
    """
    return _write(repository, [], is_snapshot_new=is_snapshot_new)


def _write(repository: Repository, taken: list[str], *, is_snapshot_new: bool) -> list[str]:
    files: dict[Path, bytes] = {}
    metas: dict[str, MetaFile] = {}
    is_next = bool(taken)
    for role in (ROOT, TARGETS, *plans.DELEGATED):
        metadata = repository.staged(role) if role in taken else repository.published(role)
        if metadata is None:
            raise RequestError(f"{repository.folder}: role {role} was never published")
        _expect_signed(repository, role, metadata, is_next=is_next)
        data = repository.content(role, is_staged=role in taken)
        if role != ROOT:
            metas[f"{role}.json"] = _meta(metadata.signed, data)
        if role in taken:
            files[repository.versioned_file(role, metadata.signed.version)] = data
    snapshot, snapshot_files = _snapshot(repository, metas, is_new=is_snapshot_new, is_next=is_next)
    timestamp = _timestamp(repository, snapshot, is_next=is_next)
    # The root last: with the old one in hand a device sees the old timestamp until the very end.
    for path, data in sorted({**files, **snapshot_files}.items(), key=lambda one: _is_root(one[0])):
        _write_once(path, data)
    replace_file(repository.metadata_folder / "timestamp.json", timestamp)
    return [*(path.name for path in (*files, *snapshot_files)), "timestamp.json"]


def _expect_signed(
    repository: Repository, role: str, metadata: AnyMetadata, *, is_next: bool
) -> None:
    short = repository.missing(role, metadata, is_next=is_next)
    if short:
        raise RequestError(
            f"role {role}: {short} more signature{'s' * (short > 1)} needed: where those keys are, "
            f"run `vedette repo sign {role}`; nothing was published"
        )


def _snapshot(
    repository: Repository,
    metas: dict[str, MetaFile],
    *,
    is_new: bool,
    is_next: bool,
) -> tuple[MetaFile, dict[Path, bytes]]:
    before = repository.published(SNAPSHOT)
    if before is not None and not is_new:
        return _meta(before.signed, repository.content(SNAPSHOT, is_staged=False)), {}
    version = before.signed.version + 1 if before else 1
    made = Metadata(Snapshot(version=version, meta=metas))
    data = _sign(repository, SNAPSHOT, made, is_next=is_next)
    return _meta(made.signed, data), {repository.versioned_file(SNAPSHOT, version): data}


def _timestamp(repository: Repository, snapshot: MetaFile, *, is_next: bool) -> bytes:
    before = repository.published(TIMESTAMP)
    version = before.signed.version + 1 if before else 1
    issued: dict[str, Any] = {ISSUED: int(repository.now.timestamp())}
    made = Metadata(Timestamp(version=version, snapshot_meta=snapshot, unrecognized_fields=issued))
    return _sign(repository, TIMESTAMP, made, is_next=is_next)


def _sign(repository: Repository, role: str, metadata: AnyMetadata, *, is_next: bool) -> bytes:
    """Snapshot and timestamp are signed when they are written, or not at all."""
    metadata.signed.expires = repository.now + timedelta(days=repository.plan.roles[role].days)
    wanted = repository.wanted(role, metadata, is_next=is_next)
    for key_id, name in repository.at_hand().items():
        if key_id in wanted:
            signature = repository.keys.sign(name, metadata.signed_bytes)
            metadata.signatures[key_id] = signature
    short = repository.missing(role, metadata, is_next=is_next)
    if short:
        raise RequestError(
            f"role {role}: {short} more of its keys needed here, since it is signed whenever "
            f"something is published; looked in {repository.keys.folder}; nothing was published"
        )
    return metadata.to_bytes()


def _write_once(path: Path, data: bytes) -> None:
    if path.exists() and path.read_bytes() != data:
        raise RequestError(
            f"{path}: expected no file, or the same bytes: this version was published before and a "
            "device may have it; restore the repository from its newest copy"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data)


def _is_root(path: Path) -> bool:
    return path.name.endswith(f".{ROOT}.json")


def _meta(signed: Signed, data: bytes) -> MetaFile:
    """With length and digest, so that a mirror cannot answer with other bytes of a version."""
    return MetaFile(signed.version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})
