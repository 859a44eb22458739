"""Firmwares are made from a slot without a mount, and are whole file systems."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vedette.errors import DeviceError
from vedette_dev.device import ext4, firmwares
from vedette_dev.device.site import UNWELL

SBIN = "/usr/sbin:/sbin"
pytestmark = pytest.mark.skipif(
    shutil.which("debugfs", path=SBIN) is None, reason="debugfs is missing: e2fsprogs"
)


@pytest.fixture
def slot(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for folder in ("etc", "usr/lib/systemd", "usr/sbin"):
        (root / folder).mkdir(parents=True)
    (root / "usr/sbin/init").symlink_to("/usr/lib/systemd/systemd")
    (root / "etc/group").write_text("root:x:0:\nvedette-uplink:x:998:\n")
    image = tmp_path / "slot.img"
    ext4.make(root, image, 8 << 20, "rootfs")
    return image


@pytest.mark.parametrize(
    ("make", "init", "is_unwell"),
    [
        (firmwares.good, True, False),
        (firmwares.panics, False, False),
        (firmwares.hangs, True, False),
        (firmwares.unwell, True, True),
    ],
)
def test_each_differs_in_what_makes_it_so(
    make: Callable[[Path, Path, str], Path],
    init: bool,  # noqa: FBT001
    is_unwell: bool,  # noqa: FBT001
    slot: Path,
    tmp_path: Path,
) -> None:
    before = slot.read_bytes()
    made = make(slot, tmp_path / "made.img", "2.0")
    assert ext4.read(made, firmwares.VERSION) == "2.0\n"
    assert ext4.has(made, firmwares.INIT) is init
    assert ext4.has(made, UNWELL) is is_unwell
    assert made.stat().st_size == slot.stat().st_size
    checked = subprocess.run(
        ["e2fsck", "-fn", made], capture_output=True, text=True, check=False, env={"PATH": SBIN}
    )
    assert checked.returncode == 0, checked.stdout
    assert slot.read_bytes() == before


def test_what_debugfs_cannot_do_is_told(slot: Path) -> None:
    with pytest.raises(DeviceError, match=r"/etc/nothing"):
        ext4.read(slot, "/etc/nothing")
    with pytest.raises(DeviceError, match=r"cd /nowhere"):
        ext4.put(slot, "x", "/nowhere/file")


def test_a_folder_is_taken_out(slot: Path, tmp_path: Path) -> None:
    ext4.take(slot, "/etc", tmp_path / "out")
    assert (tmp_path / "out/etc/group").read_text().startswith("root")
