"""Puts files and releases into the targets of a repository, and takes old ones out.

Rule 1: a file is copied in once, hashed on the way, under the name that TUF's consistent snapshots
ask for; it is public only when metadata names it.
Rule 2: of each (kind, name) the newest releases stay; files that no release names any more are no
targets any more. Their bytes stay on the disk: a device may be reading them.
Rule 3: the highest counter of each (kind, name) stays in the signed metadata, also when its release
is withdrawn: a device that had it would take nothing else under the same counter.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from tuf.api.metadata import TargetFile as TufTarget
from tuf.api.metadata import Targets

from vedette.cli import _repository_plan as plans
from vedette.cli._files import sync_folder
from vedette.cli._repository import Repository
from vedette.cli._repository_plan import TARGETS
from vedette.codec import model_manifest
from vedette.codec import release as codec
from vedette.errors import ParseError, RequestError
from vedette.model.release import FOLDERS, ROLES, Release, ReleaseKind, TargetFile

KEPT = 3
"""Releases of one (kind, name) that stay listed: the newest, and what a slow fleet still runs."""

COUNTERS = "x-vedette-counters"
"""In the metadata of a role: the highest counter ever given, by name of the folder and release."""

_COPY_BYTES = 1 << 20


class Readable(Protocol):
    """What content can be taken from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""


def store_bytes(repository: Repository, path: str, data: bytes) -> TargetFile:
    """Put content into the public targets.

    Args:
        repository: that gets it.
        path: of the target, FOLDER/NAME/FILE.
        data: at least one byte.
    """
    return store_stream(repository, path, io.BytesIO(data))


def store_file(repository: Repository, path: str, source: Path) -> TargetFile:
    """Put a file into the public targets, as `store_bytes`.

    Raises:
        RequestError: it is none that can be read.
    """
    try:
        with source.open("rb") as stream:
            return store_stream(repository, path, stream)
    except OSError as error:
        raise RequestError(f"{source}: cannot be copied: {error.strerror}") from error


def store_stream(repository: Repository, path: str, stream: Readable) -> TargetFile:
    """Put what a stream gives into the public targets, as `store_bytes`."""
    codec.read_path(path)
    folder = repository.targets_folder / Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    digest, length = hashlib.sha256(), 0
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as copy:
            os.fchmod(descriptor, 0o644)
            while chunk := stream.read(_COPY_BYTES):
                digest.update(chunk)
                length += copy.write(chunk)
            copy.flush()
            os.fsync(descriptor)
        if not length:
            raise RequestError(f"{path}: expected at least one byte of content, got an empty file")
        Path(name).replace(target_file(repository, path, digest.hexdigest()))
        sync_folder(folder)
    finally:
        Path(name).unlink(missing_ok=True)
    return TargetFile(path, length, digest.hexdigest())


def target_file(repository: Repository, path: str, sha256: str) -> Path:
    """Where the bytes of a target are (TUF 6.2: the digest before the file's name)."""
    folder, _, name = path.rpartition("/")
    return repository.targets_folder / folder / f"{sha256}.{name}"


def stage_release(
    repository: Repository,
    release: Release,
    *,
    others: Iterable[TargetFile] = (),
    keep: int = KEPT,
) -> list[str]:
    """Add a release, with all files that belong to it, to the staged targets of its role.

    Args:
        repository: whose role signs.
        release: its target, parts and statements are stored already.
        others: more files of it, which its target names.
        keep: how many of its (kind, name) stay listed, this one among them.

    Returns:
        Names of the keys that signed.

    Raises:
        RequestError: devices would refuse it, or its counter is not above the others'.
    """
    role = ROLES[release.kind]
    metadata = repository.draft(role)
    targets: Targets = metadata.signed
    before = releases_of(targets, release.kind, release.name)
    newest = highest_counter(targets, release.kind, release.name)
    if release.counter <= newest:
        raise RequestError(
            f"{release.title}: expected a counter above {newest}, which {release.name} has already"
        )
    try:
        custom = codec.encode(release)
    except ParseError as error:
        raise RequestError(f"no device would take this release: {error}") from error
    counters = targets.unrecognized_fields.setdefault(COUNTERS, {})
    counters[f"{FOLDERS[release.kind]}/{release.name}"] = release.counter
    for one in (*release.parts.values(), *release.statements, *others):
        targets.targets[one.path] = TufTarget(one.length, {"sha256": one.sha256}, one.path)
    targets.targets[release.target.path] = TufTarget(
        release.target.length,
        {"sha256": release.target.sha256},
        release.target.path,
        {"custom": custom},
    )
    kept = sorted([*before, release], key=lambda one: one.counter)[-keep:]
    _forget_others(repository, targets, release, kept)
    return repository.stage(role, metadata)


def highest_counter(targets: Targets, kind: ReleaseKind, name: str) -> int:
    """The highest counter that a release of this kind and name ever had here; 0 for none."""
    kept = targets.unrecognized_fields.get(COUNTERS) or {}
    listed = (one.counter for one in releases_of(targets, kind, name))
    return max(int(kept.get(f"{FOLDERS[kind]}/{name}", 0)), *listed, 0)


def restage(repository: Repository, release: Release) -> list[str]:
    """Sign a release that is there with other terms: who may have it, and when.

    Raises:
        RequestError: devices would refuse it.
    """
    role = ROLES[release.kind]
    metadata = repository.draft(role)
    try:
        metadata.signed.targets[release.target.path].unrecognized_fields["custom"] = codec.encode(
            release
        )
    except ParseError as error:
        raise RequestError(f"no device would take this release: {error}") from error
    return repository.stage(role, metadata)


def withdraw(repository: Repository, release: Release) -> list[str]:
    """Take a release out of the targets: no device is offered it any more."""
    role = ROLES[release.kind]
    metadata = repository.draft(role)
    rest = releases_of(metadata.signed, release.kind, release.name)
    kept = [one for one in rest if one.counter != release.counter]
    _forget_others(repository, metadata.signed, release, kept)
    return repository.stage(role, metadata)


def releases(repository: Repository, *, is_next: bool = True) -> list[Release]:
    """All releases, staged ones included where asked, in the order of kind, name and counter."""
    found: list[Release] = []
    for role in (TARGETS, *plans.DELEGATED):
        metadata = repository.current(role) if is_next else repository.published(role)
        if metadata is not None:
            found += releases_of(metadata.signed)
    return sorted(found, key=lambda one: (one.kind, one.name, one.counter))


def releases_of(targets: Targets, kind: ReleaseKind | None = None, name: str = "") -> list[Release]:
    """Those of one role's targets; of one kind and name where they are given.

    Raises:
        RequestError: a target says that it is a release, and is none.
    """
    found: list[Release] = []
    for path, target in targets.targets.items():
        if codec.is_release(target.custom):
            sha256 = target.hashes.get("sha256")
            try:
                found.append(codec.decode(path, target.length, sha256, target.custom))
            except ParseError as error:
                raise RequestError(f"target {path}: {error}") from error
    return [one for one in found if kind is None or (one.kind, one.name) == (kind, name)]


def _forget_others(
    repository: Repository, targets: Targets, release: Release, kept: list[Release]
) -> None:
    """Of one (kind, name) keep only these releases and the files they name."""
    folder = f"{FOLDERS[release.kind]}/{release.name}/"
    named = {file.path for one in kept for file in _files(repository, one)}
    for path in [path for path in targets.targets if path.startswith(folder)]:
        if path not in named:
            del targets.targets[path]


def _files(repository: Repository, release: Release) -> list[TargetFile]:
    found = [release.target, *release.parts.values(), *release.statements]
    if release.kind is ReleaseKind.MODEL:
        path = target_file(repository, release.target.path, release.target.sha256)
        try:
            manifest = model_manifest.decode(path.read_bytes())
        except (OSError, ParseError) as error:
            raise RequestError(f"{path}: expected the manifest of a model: {error}") from error
        for blob in manifest.blobs.values():
            blob_path = model_manifest.blob_path(release.name, blob)
            found.append(TargetFile(blob_path, blob.length, blob.sha256))
    return found
