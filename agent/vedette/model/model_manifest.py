"""What a model release consists of: its target is this manifest, which names all other files.

Rule 1: the world is closed: the model's directory holds `files` and nothing else. Signature and
golden data lie beside it, since the model's own signature covers the directory alone.
Rule 2: a release names a runner and fills in checked parameters; program and argv are the device's
own configuration (DESIGN section 8: the models key is never a key to run code).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_FILES = 4096
MAX_PATH = 1024
"""Bytes."""
MAX_DEPTH = 16
"""Segments of a path in the model's directory."""
MAX_GOLDEN = 32
MAX_PARAMETERS = 16
MAX_GOLDEN_BYTES = 4 << 20
"""Of one golden input or expected output: the worker holds it in memory."""
MAX_RUN_MS = 600_000
MAX_RUN_BYTES = 1 << 40


class Blob(NamedTuple):
    """Content that is known by its digest; its target is "models/NAME/<sha256>".

    Attributes:
        length: bytes, from 1 (no target is empty).
        sha256: 64 small hex digits.
    """

    length: int
    sha256: str


class ModelFile(NamedTuple):
    """A file of the model's directory.

    Attributes:
        path: relative to it, with "/" between segments; visible characters, no "." and "..".
        blob: its content.
    """

    path: str
    blob: Blob


class Golden(NamedTuple):
    """One run whose outcome is known.

    Attributes:
        name: of the case, for people and reports.
        input: one JSON document, which the runner is given.
        expected: JSON of what it must answer.
        absolute, relative: a number x of the answer is right if it is within
            absolute + relative * |expected| of the one expected; everything else must be equal.
    """

    name: str
    input: Blob
    expected: Blob
    absolute: float
    relative: float


class RunLimits(NamedTuple):
    """What one golden run may use.

    Attributes:
        time_ms: on the wall, from 1.
        memory_bytes: of address space, from 1 MiB.
        output_bytes: that it may print.
    """

    time_ms: int
    memory_bytes: int
    output_bytes: int


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """A model as its release signs it.

    Attributes:
        name, version: as the release has them.
        files: sorted by path, at least one.
        entry: the path of the file that a runner loads.
        signature: the OpenSSF model signature (model.sig) over the directory, if it has one.
        runner: which of the device's runners runs it.
        parameters: values for the runner's argv template, by name; never a path, a flag or a blank.
        golden: cases that must come out right before it is used.
        limits: of each case.
    """

    name: str
    version: str
    files: tuple[ModelFile, ...]
    entry: str
    runner: str
    limits: RunLimits
    signature: Blob | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    golden: tuple[Golden, ...] = ()

    @property
    def blobs(self) -> dict[str, Blob]:
        """All content that has to be fetched, each once, by digest."""
        found = [one.blob for one in self.files]
        found += [blob for case in self.golden for blob in (case.input, case.expected)]
        found += [self.signature] if self.signature else []
        return {blob.sha256: blob for blob in found}

    @property
    def size_bytes(self) -> int:
        """How much that is."""
        return sum(blob.length for blob in self.blobs.values())
