"""Model releases in memory: a manifest with all that it names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from vedette.codec import model_manifest
from vedette.model.model_manifest import Blob, Golden, ModelFile, ModelManifest, RunLimits
from vedette.store.model_staging import Staging
from vedette.store.models import ModelStore

NAME = "person"
LIMITS = RunLimits(time_ms=5000, memory_bytes=1 << 30, output_bytes=65536)


class MadeModel(NamedTuple):
    """A manifest's bytes, and content by digest."""

    data: bytes
    content: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def make(
    files: Mapping[str, bytes],
    *,
    name: str = NAME,
    version: str = "1",
    signature: bytes = b"",
    golden: Mapping[str, tuple[bytes, bytes]] | None = None,
    runner: str = "plain",
    parameters: Mapping[str, str] | None = None,
    limits: RunLimits = LIMITS,
    absolute: float = 0.001,
) -> MadeModel:
    content: dict[str, bytes] = {}

    def blob(data: bytes) -> Blob:
        digest = hashlib.sha256(data).hexdigest()
        content[digest] = data
        return Blob(len(data), digest)

    manifest = ModelManifest(
        name=name,
        version=version,
        files=tuple(ModelFile(path, blob(files[path])) for path in sorted(files)),
        entry=min(files),
        runner=runner,
        limits=limits,
        signature=blob(signature) if signature else None,
        parameters=parameters or {},
        golden=tuple(
            Golden(case, blob(given), blob(expected), absolute, 0.0)
            for case, (given, expected) in (golden or {}).items()
        ),
    )
    return MadeModel(model_manifest.encode(manifest), content)


def stage(store: ModelStore, made: MadeModel, step: int = 1 << 20) -> str:
    """Bring all of it in; returns the digest of the content."""
    staging = Staging(store, made.data)
    for blob in staging.missing():
        fetch(staging, blob, made, step)
    return staging.finish()


def fetch(staging: Staging, blob: Blob, made: MadeModel, step: int = 1 << 20) -> None:
    data = made.content[blob.sha256]
    with staging.incoming(blob) as incoming:
        while incoming.offset < len(data):
            incoming.write(data[incoming.offset : incoming.offset + step])
