"""Fuzz target: OpenSSF model signatures, bundle and statement."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from vedette.codec.model_signature import decode_bundle, decode_statement
from vedette.errors import ParseError

VECTORS = Path(__file__).parent.parent / "vectors/model_signing"
BUNDLES = [(VECTORS / name).read_bytes() for name in ("p256.sig", "shards.sig")]
SEEDS = [*BUNDLES, *(decode_bundle(data).payload for data in BUNDLES)]


def target(data: bytes) -> None:
    """Any bytes give a value or a ParseError; no path of a statement leaves its directory."""
    try:
        bundle = decode_bundle(data)
    except ParseError:
        payload = data
    else:
        payload = bundle.payload
    try:
        statement = decode_statement(payload)
    except ParseError:
        return
    for one in statement.resources:
        path = PurePosixPath(one.path)
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert str(path) == one.path
