"""The block index of an image: SHA-256 of each 4096-byte block, one after the other, no header.

The last block may be short and is hashed as it is. The form is RAUC's (src/hash_index.c), without
its demand that an image ends with a whole block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

BLOCK_BYTES = 4096
DIGEST_BYTES = 32


def block_count(image_bytes: int) -> int:
    """How many blocks an image has."""
    return -(-image_bytes // BLOCK_BYTES)


def index_bytes(image_bytes: int) -> int:
    """How long the index of an image is."""
    return block_count(image_bytes) * DIGEST_BYTES


def block_digests(piece: bytes | bytearray | memoryview) -> bytes:
    """The part of an index that is about a piece of an image.

    Args:
        piece: begins at a block; only the last piece of an image may end with a short one.
    """
    sha256 = hashlib.sha256
    with memoryview(piece) as view:
        return b"".join(
            [
                sha256(view[start : start + BLOCK_BYTES]).digest()
                for start in range(0, len(view), BLOCK_BYTES)
            ]
        )


def differing(found: bytes, expected: bytes) -> Iterator[int]:
    """The blocks, counted from 0, at which two parts of an index of one length differ."""
    if found == expected:
        return
    for number in range(len(expected) // DIGEST_BYTES):
        start = number * DIGEST_BYTES
        if found[start : start + DIGEST_BYTES] != expected[start : start + DIGEST_BYTES]:
            yield number
