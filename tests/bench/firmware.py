"""A firmware image into a file-backed slot, read back, beside dd and sha256sum; all in turn.

Rule 1: each run writes a file that was not there before; the image is read into the page cache
before each, and the slot's pages are dropped before sha256sum, as the installer drops them itself.
Rule 2: memory is that of a process that does nothing else, over what it held before it began.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.figure import Figure, figure

from vedette.codec.block_index import BLOCK_BYTES, block_digests

SIZE_BYTES = 1 << 30
QUICK_BYTES = 128 << 20
RUNS = 3
PIECE_BYTES = 1 << 20
CHANGED = 0.01
BUDGET_KB = 16 << 10
SEED = 1


def figures(*, is_quick: bool) -> Iterator[Figure]:
    size, runs = (QUICK_BYTES, 1) if is_quick else (SIZE_BYTES, RUNS)
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="vedette-bench-") as folder:
        bench = _Bench(Path(folder), size)
        yield from bench.speed(runs)
        yield from bench.similar(runs)


class _Bench:
    """An image, its index, and slots for it."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self._image, self._slot, self._index = folder / "image", folder / "slot", folder / "index"
        digest, index_digest = hashlib.sha256(), hashlib.sha256()
        with self._image.open("wb") as image, self._index.open("wb") as index:
            for _ in range(0, size, PIECE_BYTES):
                piece = os.urandom(PIECE_BYTES)
                image.write(piece)
                digest.update(piece)
                index.write(block_digests(piece))
                index_digest.update(block_digests(piece))
        self._sha256, self._index_sha256 = digest.hexdigest(), index_digest.hexdigest()
        self._name = f"firmware of {size >> 20} MB"

    def speed(self, runs: int) -> Iterator[Figure]:
        """Index off: all of it is fetched, hashed, written, synced and read back."""
        ours, plain, took = [], [], {}
        for _ in range(runs):
            plain.append(self._dd() + self._sha256sum())
            took = self._write()
            ours.append(took["write_s"] + took["read_back_s"])
        mb = self._size / 1e6
        rates, beside = [mb / s for s in ours], sorted(mb / s for s in plain)[len(plain) // 2]
        note = "beside dd conv=fsync and sha256sum of the slot with its pages dropped; budget 0.9"
        yield figure(f"{self._name}, written and read back", rates, "MB/s", beside, note)
        per_byte = took["written"] / self._size
        note = f"{took['disk_bytes'] / self._size:.3f} by the kernel's own count"
        yield Figure(f"{self._name}, bytes written for each byte", per_byte, "bytes", note=note)
        more_kb = took["peak_kb"] - took["idle_kb"]
        note = f"over the {took['idle_kb'] / 1024:.1f} MB that the process held before"
        yield Figure(
            f"{self._name}, installer's memory", more_kb / 1024, "MB", BUDGET_KB / 1024,
            more_kb / BUDGET_KB, note,
        )  # fmt: skip

    def similar(self, runs: int) -> Iterator[Figure]:
        """Index on: a slot that holds all of it, and one in which a hundredth differs."""
        index = (str(self._index), self._index_sha256)
        same = [self._write(*index, is_new=False)["write_s"] for _ in range(runs)]
        yield figure(f"{self._name}, nothing differs: compare pass", same, "s")
        wanted = self._change()
        took = self._write(*index, is_new=False)
        note = f"{took['fetched']} bytes fetched, {wanted} differ; {took['write_s']:.2f} s"
        yield Figure(
            f"{self._name}, 1 % differs: bytes written", took["written"], "bytes", wanted,
            took["written"] / wanted, note,
        )  # fmt: skip
        more_kb = took["peak_kb"] - took["idle_kb"]
        yield Figure(
            f"{self._name}, 1 % differs: installer's memory", more_kb / 1024, "MB",
            BUDGET_KB / 1024, more_kb / BUDGET_KB,
        )  # fmt: skip

    def _change(self) -> int:
        """Make a hundredth of the slot's blocks others; returns their bytes."""
        blocks = self._size // BLOCK_BYTES
        chosen = random.Random(SEED).sample(range(blocks), int(blocks * CHANGED))
        with self._slot.open("r+b") as slot:
            for number in chosen:
                slot.seek(number * BLOCK_BYTES)
                slot.write(os.urandom(64))
            os.fsync(slot.fileno())
        return len(chosen) * BLOCK_BYTES

    def _write(self, *index: str, is_new: bool = True) -> dict[str, Any]:
        self._prepare(is_new=is_new)
        argv = [sys.executable, "-m", "tests.bench._firmware_writer", str(self._image)]
        path = os.pathsep.join(part for part in sys.path if part)
        ran = subprocess.run(
            [*argv, str(self._slot), self._sha256, *index], check=True, capture_output=True,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    def _dd(self) -> float:
        self._prepare(is_new=True)
        argv = ["dd", f"if={self._image}", f"of={self._slot}", "bs=1M", "conv=fsync"]
        return _timed(argv)

    def _sha256sum(self) -> float:
        with self._slot.open("rb") as slot:
            os.posix_fadvise(slot.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return _timed(["sha256sum", str(self._slot)])

    def _prepare(self, *, is_new: bool) -> None:
        if is_new:
            self._slot.unlink(missing_ok=True)
        with self._image.open("rb", buffering=0) as image:
            while image.read(PIECE_BYTES):
                pass
        os.sync()


def _timed(argv: list[str]) -> float:
    began_s = time.monotonic()
    subprocess.run(argv, check=True, capture_output=True)
    return time.monotonic() - began_s
