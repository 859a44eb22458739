"""`vedette release firmware`: an image, the index of its blocks, and the files it is made of.

Rule 1: the image is read once: copied, hashed and indexed on the way.
Rule 2: the index is SHA-256 of each 4096-byte block, one after the other, without a header; the
last block may be short. With it a device leaves out blocks that are right already.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from vedette.cli._file_records import write_manifest
from vedette.cli._release_terms import begin, file_path, finish
from vedette.cli._repo_output import open_repository
from vedette.cli._repository import Repository
from vedette.cli._target_staging import store_bytes, store_stream
from vedette.errors import RequestError
from vedette.model.release import PartKind, Release, ReleaseKind, TargetFile

BLOCK_BYTES = 4096
_MAX_HOURS = 90 * 24


class IndexedReader:
    """Reads through to a file, and has the index of its blocks when the end was reached."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner = inner
        self._rest = b""
        self._hashes: list[bytes] = []

    def read(self, size: int, /) -> bytes:
        """As the file gives it."""
        data = self._inner.read(size)
        block = memoryview(self._rest + data) if self._rest else memoryview(data)
        whole = len(block) - len(block) % BLOCK_BYTES
        for start in range(0, whole, BLOCK_BYTES):
            digest = hashlib.sha256(block[start : start + BLOCK_BYTES]).digest()
            self._hashes.append(digest)
        self._rest = bytes(block[whole:])
        return data

    def index(self) -> bytes:
        """32 bytes for each block."""
        last = [hashlib.sha256(self._rest).digest()] if self._rest else []
        return b"".join([*self._hashes, *last])


def run(args: argparse.Namespace) -> int:
    """Stage an image as a release."""
    repository = open_repository(args)
    if not 0 <= args.late_rollback_hours <= _MAX_HOURS:
        raise RequestError(f"expected --late-rollback-hours from 0 to {_MAX_HOURS}")
    if not args.hardware:
        raise RequestError("expected --hardware ID: a firmware names the devices it is for")
    with repository.locked():
        release = begin(args, repository, ReleaseKind.FIRMWARE)
        release = replace(
            release,
            late_rollback_s=round(args.late_rollback_hours * 3600),
            closes_window=args.closes_window,
        )
        parts: dict[PartKind, TargetFile] = {}
        try:
            with args.image.open("rb") as stream:
                reader = IndexedReader(stream)
                target = store_stream(repository, file_path(release, "img"), reader)
        except OSError as error:
            raise RequestError(f"{args.image}: cannot be copied: {error.strerror}") from error
        if not args.no_index:
            index = reader.index()
            parts[PartKind.BLOCK_INDEX] = store_bytes(
                repository, file_path(release, "index"), index
            )
        if args.files is not None:
            parts[PartKind.FILE_MANIFEST] = _manifest(args.files, repository, release)
        return finish(args, repository, replace(release, target=target, parts=parts))


def _manifest(source: Path, repository: Repository, release: Release) -> TargetFile:
    with tempfile.TemporaryFile() as stream:
        write_manifest(source, stream)
        stream.seek(0)
        return store_stream(repository, file_path(release, "files"), stream)
