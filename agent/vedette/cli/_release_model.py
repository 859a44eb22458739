"""`vedette release model`: a directory, its signature, golden runs, limits and a runner's name.

Rule 1: the directory is a closed world: every file of it is named in the manifest, and links,
devices and empty files are refused. model.sig in it is the model's signature and no part of it.
Rule 2: content is stored by its digest, so that a file that two versions share is stored and
fetched once.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import stat
from dataclasses import replace
from pathlib import Path

from vedette.cli._files import replace_file
from vedette.cli._release_terms import begin, file_path, finish, read_file
from vedette.cli._repo_output import open_repository, tell
from vedette.cli._repository import Repository
from vedette.cli._target_staging import store_bytes, store_file
from vedette.codec import strict_json
from vedette.codec.model_manifest import blob_path, encode
from vedette.errors import ParseError, RequestError
from vedette.model.model_manifest import (
    MAX_FILES,
    MAX_GOLDEN_BYTES,
    Blob,
    Golden,
    ModelFile,
    ModelManifest,
    RunLimits,
)
from vedette.model.release import ReleaseKind, TargetFile

SIGNATURE = "model.sig"
_INPUT, _EXPECTED = ".input.json", ".expected.json"
_READ_BYTES = 1 << 20


class _Content:
    """Stores content by its digest, unless it is only to be named, and remembers what."""

    def __init__(self, repository: Repository, name: str, *, is_stored: bool) -> None:
        self._repository, self._name, self._is_stored = repository, name, is_stored
        self.stored: dict[str, TargetFile] = {}

    def add(self, path: Path) -> Blob:
        blob = Blob(path.stat().st_size, _digest(path))
        target = blob_path(self._name, blob)
        if self._is_stored and target not in self.stored:
            one = store_file(self._repository, target, path)
            if (one.length, one.sha256) != blob:
                raise RequestError(f"{path}: changed while it was read; try again")
            self.stored[target] = one
        return blob


def run(args: argparse.Namespace) -> int:
    """Stage a model as a release."""
    repository = open_repository(args)
    with repository.locked():
        release = begin(args, repository, ReleaseKind.MODEL)
        content = _Content(repository, release.name, is_stored=args.manifest_only is None)
        signature = _signature(args)
        try:
            files = tuple(
                ModelFile(path, content.add(file)) for path, file in _files(args.directory)
            )
            manifest = ModelManifest(
                name=release.name,
                version=release.version,
                files=files,
                entry=args.entry,
                runner=args.runner,
                limits=RunLimits(args.time_ms, args.memory_mb << 20, args.output_kb << 10),
                signature=content.add(signature) if signature else None,
                parameters=dict(map(_parameter, args.parameter)),
                golden=_golden(args, content),
            )
            data = encode(manifest)
        except ParseError as error:
            raise RequestError(f"no device would take this model: {error}") from error
        except OSError as error:
            raise RequestError(f"{args.directory}: cannot be read: {error}") from error
        if args.manifest_only is not None:
            replace_file(args.manifest_only, data)
            line = f"{args.manifest_only}: sha256 {hashlib.sha256(data).hexdigest()}"
            return tell(args, [line, "nothing was staged"])
        target = store_bytes(repository, file_path(release, "model"), data)
        whole = replace(release, target=target)
        return finish(args, repository, whole, others=content.stored.values())


def _files(directory: Path) -> list[tuple[str, Path]]:
    """The files of the model by their path in it, sorted; its signature is left out."""
    found: dict[str, Path] = {}
    for folder, folders, names in os.walk(directory, onerror=_raise):
        for name in [*folders, *names]:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise RequestError(f"{path}: expected files and folders alone, got "
                                   f"{stat.filemode(mode)}")  # fmt: skip
            if stat.S_ISREG(mode) and path != directory / SIGNATURE:
                found[str(path.relative_to(directory))] = path
    if not found or len(found) > MAX_FILES:
        raise RequestError(f"{directory}: expected 1 to {MAX_FILES} files, got {len(found)}")
    return sorted(found.items())


def _raise(error: OSError) -> None:
    raise error


def _signature(args: argparse.Namespace) -> Path | None:
    if args.signature is not None:
        named: Path = args.signature
        if not named.is_file():
            raise RequestError(f"{named}: expected the OpenSSF signature of the model")
        return named
    places = (args.directory / SIGNATURE, args.directory.resolve().parent / SIGNATURE)
    return next((path for path in places if path.is_file()), None)


def _golden(args: argparse.Namespace, content: _Content) -> tuple[Golden, ...]:
    if args.golden is None:
        return ()
    names = sorted(path.name.removesuffix(_INPUT) for path in args.golden.glob(f"*{_INPUT}"))
    stray = [
        path.name
        for path in args.golden.glob(f"*{_EXPECTED}")
        if path.name.removesuffix(_EXPECTED) not in names
    ]
    if not names or stray:
        raise RequestError(
            f"{args.golden}: expected NAME{_INPUT} with NAME{_EXPECTED} for each case, got "
            f"{stray[0] if stray else 'none'}"
        )
    return tuple(_case(args, name, content) for name in names)


def _case(args: argparse.Namespace, name: str, content: _Content) -> Golden:
    found = args.golden / f"{name}{_INPUT}", args.golden / f"{name}{_EXPECTED}"
    for path in found:
        try:
            strict_json.parse(read_file(path, MAX_GOLDEN_BYTES), max_bytes=MAX_GOLDEN_BYTES)
        except ParseError as error:
            raise RequestError(f"{path}: {error}") from error
    given, expected = map(content.add, found)
    return Golden(name, given, expected, args.absolute, args.relative)


def _parameter(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark:
        raise RequestError(f"--parameter {text!a}: expected NAME=VALUE")
    return name, value


def _digest(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as stream:
        while data := stream.read(_READ_BYTES):
            total.update(data)
    return total.hexdigest()
