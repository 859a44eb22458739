"""Slots that are block devices: their size, who has them mounted, and bytes that lie on them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.simulators.images import MemoryImage, image, index_file, sha256

from vedette.errors import StoreError
from vedette.store.block_index import BlockIndexFile
from vedette.store.slot_file import SlotFile
from vedette.store.slot_writer import read_back, write_missing

DEVICE_BYTES = 8 << 20
CONTENT = image(1, (5 << 20) + 4096 + 77)


@pytest.fixture
def device(tmp_path: Path, as_root: None) -> Iterator[Path]:
    if not shutil.which("losetup"):
        pytest.skip("needs losetup")
    backing = tmp_path / "disk"
    backing.write_bytes(b"\xaa" * DEVICE_BYTES)
    made = subprocess.run(
        ["losetup", "--find", "--show", str(backing)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    path = Path(made.stdout.strip())
    try:
        yield path
    finally:
        subprocess.run(["losetup", "--detach", str(path)], check=True)


@pytest.mark.system
def test_an_image_is_written_to_a_device_and_nothing_behind_it(
    device: Path, tmp_path: Path
) -> None:
    path = index_file(tmp_path, CONTENT)
    digest = sha256(path.read_bytes())
    for expected in (len(CONTENT), 0):
        with (
            closing(SlotFile(device, len(CONTENT))) as slot,
            closing(BlockIndexFile(path, image_bytes=len(CONTENT), sha256=digest)) as index,
        ):
            report = write_missing(slot, MemoryImage(CONTENT), index, None)
            read_back(slot, sha256(CONTENT))
        assert report.written == expected
    with device.open("rb") as stream:
        assert stream.read(len(CONTENT)) == CONTENT
        assert stream.read() == b"\xaa" * (DEVICE_BYTES - len(CONTENT))


@pytest.mark.system
def test_a_device_that_is_too_small_is_not_touched(device: Path) -> None:
    with pytest.raises(
        StoreError, match=f"room for {DEVICE_BYTES + 1} bytes, it has {DEVICE_BYTES}"
    ):
        SlotFile(device, DEVICE_BYTES + 1)


@pytest.mark.system
def test_a_device_that_is_mounted_is_not_opened_to_be_written(device: Path, tmp_path: Path) -> None:
    if not shutil.which("mke2fs"):
        pytest.skip("needs mke2fs")
    subprocess.run(["mke2fs", "-q", "-F", str(device)], check=True)
    point = tmp_path / "mounted"
    point.mkdir()
    subprocess.run(["mount", str(device), str(point)], check=True)
    try:
        with pytest.raises(StoreError, match="busy"):
            SlotFile(device, 4096)
        SlotFile(device, 4096, is_read_only=True).close()
    finally:
        subprocess.run(["umount", str(point)], check=True)
        assert not os.path.ismount(point)
