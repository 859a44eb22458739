"""Which modules a device's kernel and initrd get, and the archive they come in."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from vedette.errors import DeviceError, ParseError
from vedette_dev.cache import REPOSITORY
from vedette_dev.images.initramfs import Member, archive
from vedette_dev.images.kernel import module_name, read_list, with_needs

NEEDS = {
    "ext4": ["fs/ext4.ko", "lib/crc16.ko", "fs/jbd2.ko"],
    "jbd2": ["fs/jbd2.ko"],
    "crc16": ["lib/crc16.ko"],
    "virtio_rng": ["char/virtio-rng.ko", "virtio/virtio.ko"],
}


def test_what_a_module_needs_is_loaded_before_it() -> None:
    order = with_needs(["ext4", "virtio-rng", "jbd2"], NEEDS, frozenset())
    assert order == [
        "fs/jbd2.ko", "lib/crc16.ko", "fs/ext4.ko", "virtio/virtio.ko", "char/virtio-rng.ko",
    ]  # fmt: skip


def test_what_is_built_in_is_not_loaded() -> None:
    assert with_needs(["ext4"], {}, frozenset({"ext4"})) == []


def test_a_module_that_nobody_has_is_told() -> None:
    with pytest.raises(DeviceError, match="no module ext5"):
        with_needs(["ext5"], NEEDS, frozenset())
    assert with_needs(["i6300esb"], NEEDS, frozenset()) == []


def test_the_names_of_modules_come_from_their_files() -> None:
    assert module_name("kernel/drivers/char/hw_random/virtio-rng.ko.xz") == "virtio_rng"


def test_the_list_says_what_the_initrd_loads_and_how() -> None:
    found = read_list((REPOSITORY / "qemu-images/modules.txt").read_text())
    assert found.early.index("virtio_pci") < found.early.index("virtio_blk")
    assert found.early.index("i6300esb") < found.early.index("softdog")  # the real one first
    assert found.options["softdog"] == "soft_margin=60"
    assert found.options["ext4"] == ""
    assert "nf_tables" in found.late


def test_a_list_without_its_line_is_refused() -> None:
    with pytest.raises(ParseError, match='a line "--"'):
        read_list("ext4\n")


def test_an_archive_is_what_cpio_reads(tmp_path: Path) -> None:
    if shutil.which("cpio") is None:
        pytest.skip("needs cpio")
    members = [
        Member("bin", stat.S_IFDIR | 0o755),
        Member("bin/one", stat.S_IFREG | 0o755, b"x"),
        Member("init", stat.S_IFREG | 0o755, b"#!/bin/one sh\n"),
    ]
    listed = subprocess.run(
        ["cpio", "-idv", "--no-absolute-filenames"], input=archive(members), cwd=tmp_path,
        capture_output=True, check=True,
    )  # fmt: skip
    assert listed.stderr.decode().split()[:3] == ["bin", "bin/one", "init"]
    assert (tmp_path / "bin/one").read_bytes() == b"x"
    assert (tmp_path / "init").stat().st_mode & 0o777 == 0o755
