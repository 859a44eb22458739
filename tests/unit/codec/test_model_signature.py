"""Bundles and statements of model signatures: whole, cut, with a tail, and any bytes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.model_signature import WHOLE, Resource, decode_bundle, decode_statement
from vedette.errors import ParseError

VECTORS: Final = Path(__file__).parents[2] / "vectors/model_signing"
BUNDLE: Final = (VECTORS / "p256.sig").read_bytes()
SHARDS: Final = (VECTORS / "shards.sig").read_bytes()
LETTERS: Final = bytes.fromhex("41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3")


def test_a_bundle_of_model_signing_is_read() -> None:
    bundle = decode_bundle(BUNDLE)
    statement = decode_statement(bundle.payload)
    assert statement.name == "m"
    assert (statement.hash_name, statement.shard_size) == ("sha256", 0)
    assert statement.resources[0] == Resource("a.onnx", 0, WHOLE, LETTERS)
    assert [one.path for one in statement.resources] == ["a.onnx", "sub/b.bin"]


def test_shards_of_model_signing_are_read() -> None:
    statement = decode_statement(decode_bundle(SHARDS).payload)
    assert statement.shard_size == 1000
    places = [(one.path, one.start, one.end) for one in statement.resources]
    assert places == [
        ("a.onnx", 0, 1000), ("sub/b.bin", 0, 1000), ("sub/b.bin", 1000, 2000),
        ("sub/b.bin", 2000, 2500),
    ]  # fmt: skip


def test_cut_anywhere_it_is_refused() -> None:
    payload = decode_bundle(BUNDLE).payload
    for size in range(0, len(BUNDLE), 7):
        with pytest.raises(ParseError):
            decode_bundle(BUNDLE[:size])
    for size in range(0, len(payload), 7):
        with pytest.raises(ParseError):
            decode_statement(payload[:size])


@pytest.mark.parametrize("tail", [b"x", b"{}", b"\0"])
def test_a_tail_is_refused(tail: bytes) -> None:
    with pytest.raises(ParseError):
        decode_bundle(BUNDLE + tail)
    with pytest.raises(ParseError):
        decode_statement(decode_bundle(BUNDLE).payload + tail)


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(ParseError, match="once"):
        decode_bundle(BUNDLE.replace(b'"mediaType"', b'"mediaType": "x", "mediaType"', 1))


def test_more_than_it_may_hold_is_not_looked_at() -> None:
    with pytest.raises(ParseError, match="at most"):
        decode_bundle(b" " * (5 << 20))


@given(data=st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_parse_error(data: bytes) -> None:
    for read in (decode_bundle, decode_statement):
        with contextlib.suppress(ParseError):
            read(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(name=st.sampled_from(("_type", "subject", "predicateType", "predicate")), value=_JSON)
def test_any_value_in_a_statement_gives_a_parse_error(name: str, value: object) -> None:
    document = json.loads(decode_bundle(BUNDLE).payload)
    if document[name] == value:
        return
    with pytest.raises(ParseError):
        decode_statement(json.dumps({**document, name: value}).encode())


@given(name=st.sampled_from(("method", "hash_type", "shard_size")), value=_JSON)
def test_any_serialization_gives_a_value_or_a_parse_error(name: str, value: object) -> None:
    document = json.loads(decode_bundle(SHARDS).payload)
    document["predicate"]["serialization"][name] = value
    with contextlib.suppress(ParseError):
        decode_statement(json.dumps(document).encode())
