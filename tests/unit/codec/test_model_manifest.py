"""Manifests of models: a closed world of plain paths, and no word that could be a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import model_manifest as codec
from vedette.codec.strict_json import canonical, parse
from vedette.errors import ParseError
from vedette.model.model_manifest import Blob, Golden, ModelFile, ModelManifest, RunLimits

A, B, C, D = ("0a" * 32, "0b" * 32, "0c" * 32, "0d" * 32)

MANIFEST = ModelManifest(
    name="person",
    version="3",
    files=(ModelFile("config/.labels.txt", Blob(9, B)), ModelFile("person.onnx", Blob(4096, A))),
    entry="person.onnx",
    runner="onnx",
    limits=RunLimits(time_ms=2000, memory_bytes=256 << 20, output_bytes=65_536),
    signature=Blob(700, C),
    parameters={"threads": "1", "providers": "CPU,XNN"},
    golden=(Golden("nobody", Blob(99, D), Blob(9, B), 0.0, 1e-3),),
)


def plain(manifest: ModelManifest = MANIFEST) -> Any:
    return parse(codec.encode(manifest), max_bytes=codec.MAX_BYTES)


def test_what_was_written_is_read() -> None:
    assert codec.decode(codec.encode(MANIFEST)) == MANIFEST
    bare = replace(MANIFEST, signature=None, golden=(), parameters={})
    assert codec.decode(codec.encode(bare)) == bare


def test_content_is_fetched_once() -> None:
    assert sorted(MANIFEST.blobs) == [A, B, C, D]
    assert MANIFEST.size_bytes == 4096 + 9 + 700 + 99
    assert codec.blob_path("person", MANIFEST.files[0].blob) == f"models/person/{B}"


def _path(path: Any) -> Callable[[Any], object]:
    return lambda one: one["files"][0].update(path=path)


def _parameter(value: Any) -> Callable[[Any], object]:
    return lambda one: one["parameters"].update(threads=value)


CHANGES: dict[str, Callable[[Any], object]] = {
    "a name more": lambda one: one.update(argv=["sh"]),
    "a name less": lambda one: one.pop("runner"),
    "another format": lambda one: one.update(format=2),
    "no file": lambda one: one.update(files=[]),
    "files in disorder": lambda one: one["files"].reverse(),
    "a file twice": lambda one: one["files"].insert(0, one["files"][0]),
    "a file where a folder is needed": lambda one: one["files"].insert(
        0, {"length": 1, "path": "config", "sha256": A}
    ),
    "an entry that is not there": lambda one: one.update(entry="other.onnx"),
    "an entry outside": lambda one: one.update(entry="../person.onnx"),
    "a path that climbs": _path("../x"),
    "a path that climbs inside": _path("config/../../x"),
    "an absolute path": _path("/etc/passwd"),
    "a path of nothing": _path(""),
    "a path with an empty segment": _path("a//b"),
    "a path that ends in a slash": _path("a/"),
    "a path with a NUL": _path("a\0b"),
    "a path with a line break": _path("a\n"),
    "a path that turns the text": _path("a\u202eb"),
    "a path that is too deep": _path("/".join("a" * 17)),
    "a path that is too long": _path("/".join(["a" * 250] * 5)),
    "a path of too many bytes": _path("/".join(["\u0430" * 120] * 5)),
    "a segment that no disk takes": _path("a" * 256),
    "a segment of too many bytes": _path("\u0430" * 128),
    "a path that is a number": _path(7),
    "a length of 0": lambda one: one["files"][0].update(length=0),
    "a length above 2^40": lambda one: one["files"][0].update(length=2**40 + 1),
    "two lengths of one content": lambda one: one["files"][0].update(sha256=A),
    "a digest of 63 digits": lambda one: one["files"][0].update(sha256="a" * 63),
    "a parameter that is a flag": _parameter("--exec=/bin/sh"),
    "a parameter that is a path": _parameter("a/b"),
    "a parameter of two words": _parameter("1 2"),
    "a parameter with a quote": _parameter("a'b"),
    "a parameter with a dollar": _parameter("a$b"),
    "a parameter with a brace": _parameter("a{b}"),
    "a parameter with an equals sign": _parameter("a=b"),
    "an empty parameter": _parameter(""),
    "a parameter that is a number": _parameter(1),
    "a parameter with another name": lambda one: one["parameters"].update({"LD_PRELOAD": "x"}),
    "17 parameters": lambda one: one.update(parameters={f"a{i}": "1" for i in range(17)}),
    "a runner that is a path": lambda one: one.update(runner="/bin/sh"),
    "a runner that is a list": lambda one: one.update(runner=["sh"]),
    "no time": lambda one: one["limits"].update({"time-ms": 0}),
    "an hour": lambda one: one["limits"].update({"time-ms": 3_600_000}),
    "no memory": lambda one: one["limits"].update(memory=0),
    "endless output": lambda one: one["limits"].update(output=1 << 30),
    "a tolerance below 0": lambda one: one["golden"][0].update(absolute=-0.1),
    "a tolerance of words": lambda one: one["golden"][0].update(relative="small"),
    "a case twice": lambda one: one["golden"].append(one["golden"][0]),
    "golden data that is too large": lambda one: one["golden"][0]["input"].update(length=1 << 25),
    "a signature that is a path": lambda one: one.update(signature="model.sig"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_is_odd_is_refused(change: Callable[[Any], object]) -> None:
    value = plain()
    change(value)
    with pytest.raises(ParseError, match="expected"):
        codec.decode(canonical(value))


def test_a_tolerance_without_end_is_no_json() -> None:
    with pytest.raises(ParseError, match="finite"):
        codec.decode(codec.encode(MANIFEST).replace(b"0.001", b"1e999"))


def test_only_the_canonical_bytes_are_read() -> None:
    data = codec.encode(MANIFEST)
    for wrong in (data + b"\n", b" " + data, data.replace(b",", b", ", 1), data[:-1], b"", b"[]"):
        with pytest.raises(ParseError, match="expected"):
            codec.decode(wrong)


@given(st.binary(max_size=300))
def test_any_bytes_give_an_error(data: bytes) -> None:
    with pytest.raises(ParseError):
        codec.decode(data)


@given(st.integers(0), st.binary(min_size=1, max_size=4))
def test_any_damage_gives_a_manifest_or_an_error(place: int, patch: bytes) -> None:
    data = bytearray(codec.encode(MANIFEST))
    start = place % len(data)
    data[start : start + len(patch)] = patch
    try:
        found = codec.decode(bytes(data))
    except ParseError:
        return
    assert codec.encode(found) == data
