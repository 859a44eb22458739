"""The block index of an image as a file: checked once as a whole, then read part by part.

Rule: it lies in a folder of ours between check and use; a gigabyte's index has 8 MB, which an
installer must not hold in memory.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from vedette.codec.block_index import DIGEST_BYTES, index_bytes
from vedette.errors import StoreError, TrustError

_PIECE_BYTES = 1 << 18


class BlockIndexFile:
    """An open index; threads may share it.

    Args:
        path: in a folder that only we can enter.
        image_bytes: size of the image it is about.
        sha256: of the index in hex, as it was signed.

    Raises:
        TrustError: it is not the index that was signed, or of an image of another size.
        StoreError: it cannot be read.
    """

    def __init__(self, path: Path, *, image_bytes: int, sha256: str) -> None:
        self._path = path
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            found, size = self._digest()
        except OSError as error:
            self.close()
            raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
        if size != index_bytes(image_bytes) or found != sha256:
            self.close()
            raise TrustError(
                f"{path}: expected {index_bytes(image_bytes)} bytes with SHA-256 {sha256}, "
                f"got {size} bytes with {found}"
            )

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def part(self, first: int, count: int) -> bytes:
        """The digests of `count` blocks from block `first` on; fewer at the end of the image.

        Raises:
            StoreError: it cannot be read.
        """
        try:
            return os.pread(self._descriptor, count * DIGEST_BYTES, first * DIGEST_BYTES)
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be read: {error.strerror}") from error

    def _digest(self) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        while piece := os.pread(self._descriptor, _PIECE_BYTES, size):
            digest.update(piece)
            size += len(piece)
        return digest.hexdigest(), size
