"""Images beyond 4 GiB: offsets hold, and the memory of who writes them does not grow."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vedette.codec.block_index import BLOCK_BYTES, block_digests

BEYOND = 2**32
SIZE = BEYOND + 3 * BLOCK_BYTES + 77
MARKS = (2**31 - BLOCK_BYTES, 2**31, BEYOND - BLOCK_BYTES, BEYOND, BEYOND + 3 * BLOCK_BYTES)
MAX_GROWTH_KB = 16 << 10


@pytest.mark.system
def test_an_image_beyond_four_gigabytes_is_written_where_it_differs(tmp_path: Path) -> None:
    image, slot, index = tmp_path / "image", tmp_path / "slot", tmp_path / "index"
    slot.touch()
    os.truncate(slot, SIZE)  # zeros without blocks
    with image.open("wb") as file:
        for number, offset in enumerate(MARKS):
            file.seek(offset)
            file.write(bytes([number + 1]) * min(BLOCK_BYTES, SIZE - offset))
    assert image.stat().st_size == SIZE
    argv = [str(image), str(slot), "-", str(index), _write_index(index)]
    took = _write(argv)
    wanted = 4 * BLOCK_BYTES + 77
    assert (took["fetched"], took["written"]) == (wanted, wanted)
    assert took["peak_kb"] - took["idle_kb"] <= MAX_GROWTH_KB
    with slot.open("rb") as file:
        for number, offset in enumerate(MARKS):
            file.seek(offset)
            assert file.read(BLOCK_BYTES)[:77] == bytes([number + 1]) * 77


def _write(arguments: list[str]) -> dict[str, int]:
    path = os.pathsep.join(part for part in sys.path if part)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bench._firmware_writer", *arguments],
        check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path},
        timeout=110,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found: dict[str, int] = json.loads(ran.stdout)
    return found


def _write_index(path: Path) -> str:
    """The index of the image: that of zeros but for the marks; returns its digest."""
    zero = block_digests(bytes(BLOCK_BYTES))
    with path.open("wb") as file:
        file.write(zero * (SIZE // BLOCK_BYTES))
        file.write(block_digests(bytes(SIZE % BLOCK_BYTES)))
        for number, offset in enumerate(MARKS):
            file.seek(offset // BLOCK_BYTES * 32)
            file.write(block_digests(bytes([number + 1]) * min(BLOCK_BYTES, SIZE - offset)))
    return _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
