"""Firmware images, their indexes, releases of them, and sources that bring or break them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

from vedette.codec.block_index import block_digests
from vedette.errors import FetchError
from vedette.model.release import PartKind, Release, ReleaseKind, TargetFile
from vedette.ports.image_source import MAX_RUNS, ImageSource, Run


def image(seed: int, size_bytes: int) -> bytes:
    """Bytes that no other seed gives."""
    return random.Random(seed).randbytes(size_bytes)


def changed(content: bytes, *blocks: int) -> bytes:
    """The same image, but for some blocks."""
    other = bytearray(content)
    for number in blocks:
        other[number * 4096] ^= 0xFF
    return bytes(other)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def firmware(
    content: bytes,
    counter: int = 2,
    *,
    late_rollback_s: int = 0,
    closes_window: bool = False,
    manifest: bytes = b"",
) -> Release:
    """A release of an image with its index, and a file manifest where one is given."""
    index = block_digests(content)
    path = f"firmware/cam/cam-{counter}"
    parts = {PartKind.BLOCK_INDEX: TargetFile(f"{path}.index", len(index), sha256(index))}
    if manifest:
        files = TargetFile(f"{path}.files", len(manifest), sha256(manifest))
        parts[PartKind.FILE_MANIFEST] = files
    return Release(
        kind=ReleaseKind.FIRMWARE, name="cam", version=f"{counter}.0", counter=counter,
        issued_s=1_800_000_000, target=TargetFile(f"{path}.img", len(content), sha256(content)),
        hardware_ids=("cam-2",), parts=parts, late_rollback_s=late_rollback_s,
        closes_window=closes_window,
    )  # fmt: skip


def index_file(folder: Path, content: bytes) -> Path:
    """The image's index, as the installer keeps it."""
    path = folder / "index"
    path.write_bytes(block_digests(content))
    return path


class MemoryImage(ImageSource):
    """An image in memory.

    Attributes:
        asked: the runs of all requests.
        breaks_after: bytes after which the source breaks off; None: never.
        ends_after: bytes after which it ends as if that were all; None: never.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.asked: list[Run] = []
        self.breaks_after: int | None = None
        self.ends_after: int | None = None
        self.sent = 0

    def read(self, runs: Sequence[Run]) -> _Reader:
        assert 0 < len(runs) <= MAX_RUNS
        self.asked += runs
        return _Reader(self, b"".join(self._content[o : o + n] for o, n in runs))

    @property
    def asked_bytes(self) -> int:
        return sum(run.length for run in self.asked)


class _Reader:
    def __init__(self, source: MemoryImage, data: bytes) -> None:
        self._source, self._data, self._at = source, data, 0

    def readinto(self, buffer: memoryview, /) -> int:
        source = self._source
        count = min(len(buffer), 10_000, len(self._data) - self._at)
        if source.breaks_after is not None and source.sent + count > source.breaks_after:
            raise FetchError("the link broke (simulated)")
        if source.ends_after is not None and source.sent + count > source.ends_after:
            return 0
        buffer[:count] = self._data[self._at : self._at + count]
        self._at += count
        source.sent += count
        return count
