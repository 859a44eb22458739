"""Fuzz target: releases, manifests, statements and policies."""

from __future__ import annotations

import io
import json
from contextlib import suppress

from vedette.codec import file_manifest, model_manifest, provenance, release, release_policy
from vedette.codec.strict_json import canonical
from vedette.errors import ParseError
from vedette.model.baseline import FileRecord
from vedette.model.model_manifest import Blob, Golden, ModelFile, ModelManifest, RunLimits
from vedette.model.provenance import PolicyRule, ReleasePolicy, Signer, StatementKind
from vedette.model.release import PartKind, Release, ReleaseKind, TargetFile, Window

_A, _B = "0a" * 32, "0b" * 32
_PATH = "firmware/cam/cam-7.img"
_RELEASE = Release(
    ReleaseKind.FIRMWARE, "cam", "2.1", 7, 9, TargetFile(_PATH, 5, _A), ("cam-2",),
    windows=(Window((0, 4), 60, 60),),
    parts={PartKind.BLOCK_INDEX: TargetFile("firmware/cam/cam-7.index", 32, _B)},
)  # fmt: skip
_MODEL = ModelManifest(
    "person", "3", (ModelFile("a.onnx", Blob(9, _A)),), "a.onnx", "onnx",
    RunLimits(1000, 1 << 28, 1 << 16), Blob(7, _B), {"threads": "1"},
    (Golden("one", Blob(5, _B[::-1]), Blob(9, _A), 0.0, 0.5),),
)  # fmt: skip
_POLICY = ReleasePolicy(
    "acme", 1, 1, 2, (Signer("ci", b"\1" * 32, is_person=False),),
    (PolicyRule(1, (), (), (), StatementKind.BUILD, ("ci",), 1, ("x:y",), (), ""),), "",
)  # fmt: skip
_FILES = (
    FileRecord("/", "dir", 0o40755, 0, 0, 9, 0, 0, 0, "", ""),
    FileRecord("/sh", "file", 0o100755, 0, 0, 9, 0, 0, 0, _A, ""),
)

SEEDS = (
    canonical(release.encode(_RELEASE)),
    model_manifest.encode(_MODEL),
    release_policy.encode(_POLICY),
    provenance.encode_payload({f"sha256:{_A}": "x"}, provenance.REVIEW, {"result": "approved"}),
    b"".join(file_manifest.encode(_FILES)),
)


def target(data: bytes) -> None:
    """Any bytes give a ParseError, or a value with one text."""
    with suppress(ParseError):
        assert model_manifest.encode(model_manifest.decode(data)) == data
    with suppress(ParseError):
        assert release_policy.encode(release_policy.decode(data)) == data
    with suppress(ParseError):
        found = list(file_manifest.decode(io.BytesIO(data)))
        assert b"".join(file_manifest.encode(found)) == data
    with suppress(ParseError):
        assert provenance.decode_payload(data).subjects
    with suppress(ParseError):
        assert provenance.decode(data).signatures
    # As TUF's own reader does: json.loads, duplicate names and NaN included.
    with suppress(ParseError, ValueError, RecursionError):
        custom = json.loads(data)
        one = release.decode(_PATH, 5, _A, custom)
        assert release.encode(one)[release.FIELD] == custom[release.FIELD]
