"""What lies in memory is known; what cannot be read is not taken for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vedette.daemon.mounts import is_in_memory, mount_of


def _mountinfo(folder: Path, kind: str) -> Path:
    number = folder.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    place = folder / "mountinfo"
    place.write_text(
        "21 1 0:7 / / rw - ext4 /dev/root rw\n"
        f"22 21 {device} / {folder} rw shared:1 - {kind} none rw,size=4096k\n"
    )
    return place


@pytest.mark.parametrize(
    ("kind", "expected"), [("tmpfs", True), ("ramfs", True), ("ext4", False), ("overlay", False)]
)
def test_a_folder_in_memory(kind: str, expected: bool, tmp_path: Path) -> None:  # noqa: FBT001
    mountinfo = _mountinfo(tmp_path, kind)
    assert is_in_memory(tmp_path, mountinfo) is expected
    mount = mount_of(tmp_path, mountinfo)
    assert mount is not None
    assert mount.kind == kind


@pytest.mark.parametrize("content", [b"", b"21 1 0:7 / / rw - tmpfs none rw\n", b"\xff torn"])
def test_what_is_unknown_is_not_in_memory(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_bytes(content)
    assert not is_in_memory(tmp_path, tmp_path / "mountinfo")
    assert not is_in_memory(tmp_path, tmp_path / "none")
