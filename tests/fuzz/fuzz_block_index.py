"""Fuzz target: the block index of an image, by which an installer decides what not to write."""

from __future__ import annotations

from vedette.codec.block_index import (
    BLOCK_BYTES,
    DIGEST_BYTES,
    block_digests,
    differing,
    index_bytes,
)

_IMAGE = bytes(2 * BLOCK_BYTES) + b"a short end"

SEEDS = (
    b"",
    _IMAGE,
    block_digests(_IMAGE) * 2,
    block_digests(_IMAGE) + block_digests(b"x" * len(_IMAGE)),
)


def target(data: bytes) -> None:
    """Blocks are named once, in order, and are all that differ; an image has as many as it says."""
    half = len(data) // 2 // DIGEST_BYTES * DIGEST_BYTES
    found, expected = bytearray(data[:half]), data[half : 2 * half]
    named = list(differing(bytes(found), expected))
    if named != sorted(set(named)):
        raise AssertionError(f"blocks out of order: {named}")
    for number in named:
        block = slice(number * DIGEST_BYTES, (number + 1) * DIGEST_BYTES)
        if found[block] == expected[block]:
            raise AssertionError(f"block {number} is the same in both")
        found[block] = expected[block]
    if bytes(found) != expected:
        raise AssertionError(f"blocks differ beside those that are named: {named}")
    if len(block_digests(data)) != index_bytes(len(data)):
        raise AssertionError(f"an image of {len(data)} bytes has an index of another length")
