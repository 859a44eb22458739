"""The block index: one digest for each 4096 bytes, the last block as it is."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.block_index import block_count, block_digests, differing, index_bytes


@pytest.mark.parametrize(
    ("size", "blocks"),
    [(0, 0), (1, 1), (4095, 1), (4096, 1), (4097, 2), (2**31, 2**19), (2**32 + 1, 2**20 + 1)],
)
def test_a_short_last_block_counts(size: int, blocks: int) -> None:
    assert block_count(size) == blocks
    assert index_bytes(size) == blocks * 32


def test_each_block_is_hashed_by_itself() -> None:
    piece = b"a" * 4096 + b"b" * 4096 + b"c"
    digests = [hashlib.sha256(part).digest() for part in (b"a" * 4096, b"b" * 4096, b"c")]
    assert block_digests(piece) == b"".join(digests)


@given(st.binary(max_size=9000), st.integers(1, 3))
def test_an_index_is_the_same_whatever_the_pieces(data: bytes, blocks: int) -> None:
    step = blocks * 4096
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    assert b"".join(map(block_digests, pieces)) == block_digests(data)
    assert len(block_digests(data)) == index_bytes(len(data))


def test_blocks_that_differ_are_named() -> None:
    expected = bytes(32) + bytes([1]) * 32 + bytes([2]) * 32
    assert list(differing(expected, expected)) == []
    assert list(differing(bytes(96), expected)) == [1, 2]
    assert list(differing(b"", expected)) == [0, 1, 2]
