"""Model manifests <-> the canonical JSON that is the target of a model release.

    {"entry": "person.onnx",
     "files": [{"length": 4096, "path": "person.onnx", "sha256": "<64 hex digits>"}], "format": 1,
     "golden": [{"absolute": 0.0, "expected": {"length": 20, "sha256": "..."},
                 "input": {"length": 99, "sha256": "..."}, "name": "nobody", "relative": 0.001}],
     "limits": {"memory": 268435456, "output": 65536, "time-ms": 2000}, "name": "person",
     "parameters": {"threads": "1"}, "runner": "onnx", "signature": null, "version": "3"}

Rule 1: only the canonical bytes are read: one manifest, one digest.
Rule 2: a path of a file cannot leave the model's directory, and no file is in another one's way.
Rule 3: a parameter cannot be taken for a flag, a path or two words by any program.
"""

from __future__ import annotations

import re

from vedette.codec import strict_fields as strict
from vedette.codec.release import NAME, VERSION
from vedette.codec.strict_json import Json, canonical, parse
from vedette.errors import ParseError
from vedette.model.model_manifest import (
    MAX_DEPTH,
    MAX_FILES,
    MAX_GOLDEN,
    MAX_GOLDEN_BYTES,
    MAX_PARAMETERS,
    MAX_PATH,
    MAX_RUN_BYTES,
    MAX_RUN_MS,
    Blob,
    Golden,
    ModelFile,
    ModelManifest,
    RunLimits,
)

MAX_BYTES = 4 << 20
FORMAT = 1

_MANIFEST = frozenset(
    {
        "entry", "files", "format", "golden", "limits", "name", "parameters", "runner",
        "signature", "version",
    }
)  # fmt: skip
_FILE = frozenset({"length", "path", "sha256"})
_BLOB = frozenset({"length", "sha256"})
_GOLDEN = frozenset({"absolute", "expected", "input", "name", "relative"})
_LIMITS = frozenset({"memory", "output", "time-ms"})
_CASE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_RUNNER = re.compile(r"[a-z][a-z0-9-]{0,31}")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,31}")
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._,:+-]{0,127}")
_LEAST_MEMORY = 1 << 20
_MAX_OUTPUT = 16 << 20
_MAX_TOLERANCE = 1e300
_MAX_SEGMENT = 255  # NAME_MAX
_MAX_LENGTH = 1 << 40


def encode(manifest: ModelManifest) -> bytes:
    """The canonical bytes.

    Raises:
        ParseError: it is none that `decode` would read.
    """
    parameters: dict[str, Json] = dict(manifest.parameters)
    files: list[Json] = [{"path": one.path, **_plain(one.blob)} for one in manifest.files]
    data = canonical(
        {
            "entry": manifest.entry,
            "files": files,
            "format": FORMAT,
            "golden": [_plain_golden(one) for one in manifest.golden],
            "limits": {
                "memory": manifest.limits.memory_bytes,
                "output": manifest.limits.output_bytes,
                "time-ms": manifest.limits.time_ms,
            },
            "name": manifest.name,
            "parameters": parameters,
            "runner": manifest.runner,
            "signature": _plain(manifest.signature) if manifest.signature else None,
            "version": manifest.version,
        }
    )
    decode(data)
    return data


def decode(data: bytes) -> ModelManifest:
    """Read a manifest; whether it was signed is not looked at.

    Raises:
        ParseError: it is none, or one that could be read in two ways.
    """
    value = parse(data, max_bytes=MAX_BYTES)
    fields = strict.fields(value, "a model manifest", _MANIFEST)
    strict.format_number(fields["format"], FORMAT)
    if canonical(value) != data:
        raise ParseError("expected canonical JSON (sorted names, no spaces)")
    made = ModelManifest(
        name=strict.matched(fields["name"], "the name of a model", NAME),
        version=strict.matched(fields["version"], "a version", VERSION),
        files=strict.rows(fields["files"], "files", MAX_FILES, _file),
        entry=strict.visible(fields["entry"], "a path of the model", MAX_PATH),
        runner=strict.matched(fields["runner"], "the name of a runner", _RUNNER),
        limits=_limits(fields["limits"]),
        signature=None if fields["signature"] is None else _blob(fields["signature"]),
        parameters=_parameters(fields["parameters"]),
        golden=strict.rows(fields["golden"], "golden cases", MAX_GOLDEN, _golden),
    )
    _check(made)
    return made


def blob_path(name: str, blob: Blob) -> str:
    """The target in the repository that holds content of a model."""
    return f"models/{name}/{blob.sha256}"


def _check(made: ModelManifest) -> None:
    paths = [one.path for one in made.files]
    if not paths or paths != sorted(set(paths)):
        raise ParseError("expected the files of a model sorted by path, each once, one at least")
    for path in paths:
        parents = path.split("/")[:-1]
        blocked = {"/".join(parents[: end + 1]) for end in range(len(parents))} & {*paths}
        if blocked:
            raise ParseError(f"expected no file where {path} needs a folder, got {min(blocked)}")
    if made.entry not in paths:
        raise ParseError(f"expected the entry {strict.shown(made.entry)} to be a file of the model")
    names = [one.name for one in made.golden]
    if len(set(names)) < len(names):
        raise ParseError("expected each golden case to have a name of its own")
    lengths: dict[str, int] = {}
    blobs = [one.blob for one in made.files]
    blobs += [blob for case in made.golden for blob in (case.input, case.expected)]
    for blob in [*blobs, *([made.signature] if made.signature else [])]:
        if lengths.setdefault(blob.sha256, blob.length) != blob.length:
            raise ParseError(f"expected one length for the content {blob.sha256[:16]}..., got two")


def _plain(blob: Blob) -> dict[str, Json]:
    return {"length": blob.length, "sha256": blob.sha256}


def _plain_golden(one: Golden) -> dict[str, Json]:
    return {
        "absolute": _tolerance(float(one.absolute), "absolute"),
        "expected": _plain(one.expected),
        "input": _plain(one.input),
        "name": one.name,
        "relative": _tolerance(float(one.relative), "relative"),
    }


def _file(value: object) -> ModelFile:
    fields = strict.fields(value, "a file of a model", _FILE)
    return ModelFile(_path(fields["path"]), _sized(fields["length"], fields["sha256"]))


def _path(value: object) -> str:
    path = strict.visible(value, "a path of the model", MAX_PATH)
    segments = path.split("/")
    is_plain = not {"", ".", ".."} & {*segments} and len(path.encode()) <= MAX_PATH
    if not is_plain or len(segments) > MAX_DEPTH or any(map(_is_long, segments)):
        raise ParseError(
            f"expected a relative path of at most {MAX_DEPTH} segments and {MAX_PATH} bytes, "
            f"without . and .., got {strict.shown(path)}"
        )
    return path


def _is_long(segment: str) -> bool:
    return len(segment.encode()) > _MAX_SEGMENT


def _blob(value: object) -> Blob:
    fields = strict.fields(value, "content", _BLOB)
    return _sized(fields["length"], fields["sha256"])


def _sized(length: object, sha256: object) -> Blob:
    return Blob(strict.number(length, "length", 1, _MAX_LENGTH), strict.digest(sha256))


def _golden(value: object) -> Golden:
    fields = strict.fields(value, "a golden case", _GOLDEN)
    made = Golden(
        strict.matched(fields["name"], "the name of a golden case", _CASE),
        _blob(fields["input"]),
        _blob(fields["expected"]),
        _tolerance(fields["absolute"], "absolute"),
        _tolerance(fields["relative"], "relative"),
    )
    if max(made.input.length, made.expected.length) > MAX_GOLDEN_BYTES:
        raise ParseError(f"{made.name}: expected golden data of at most {MAX_GOLDEN_BYTES} bytes")
    return made


def _tolerance(value: object, what: str) -> float:
    if type(value) is not float or not 0.0 <= value <= _MAX_TOLERANCE:
        raise ParseError(f"expected {what} as a decimal from 0.0, got {strict.shown(value)}")
    return value


def _limits(value: object) -> RunLimits:
    fields = strict.fields(value, "limits", _LIMITS)
    return RunLimits(
        time_ms=strict.number(fields["time-ms"], "time-ms", 1, MAX_RUN_MS),
        memory_bytes=strict.number(fields["memory"], "memory", _LEAST_MEMORY, MAX_RUN_BYTES),
        output_bytes=strict.number(fields["output"], "output", 1, _MAX_OUTPUT),
    )


def _parameters(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MAX_PARAMETERS:
        raise ParseError(f"expected at most {MAX_PARAMETERS} parameters by name")
    return {
        strict.matched(name, "the name of a parameter", _PARAMETER): strict.matched(
            one, "a value of letters, digits and . _ , : + -, no flag and no path", _VALUE
        )
        for name, one in value.items()
    }
