"""A manifest becomes the baseline and what was before comes back, over cuts and repetitions."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.simulators.images import sha256

from vedette.codec import file_manifest
from vedette.daemon.firmware_baseline import (
    WISH_FILE,
    FirmwareBaseline,
    manifest_path,
    wish,
)
from vedette.errors import ParseError, StoreError
from vedette.model.baseline import FileRecord
from vedette.store.baseline import SqliteBaseline


def record(path: str, content: bytes, inode: int = 0) -> FileRecord:
    mode = stat.S_IFREG | 0o644
    return FileRecord(path, "file", mode, 0, 0, len(content), inode, 0, 0, sha256(content), "")


class Device:
    """A baseline of a program, a local file, and a file that only the old firmware has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "firmware"
        self.folder.mkdir()
        self.root = folder / "root"
        self.root.mkdir()
        for name in ("local", "program"):
            (self.root / name).touch()
        self.baseline = SqliteBaseline(folder)
        self.baseline.open()
        self.baseline.replace(
            record(f"{self.root}/{name}", b"old", 7) for name in ("gone", "local", "program")
        )
        self.before = self.baseline.digest()

    def manifest(self, content: bytes = b"new") -> str:
        """Puts a manifest in its place; returns its digest."""
        lines = file_manifest.encode([record(f"{self.root}/program", content)])
        data = b"".join(lines)
        manifest_path(self.folder, sha256(data)).write_bytes(data)
        return sha256(data)

    def carry_out(self) -> str:
        return FirmwareBaseline(self.baseline, self.folder).carry_out()

    def expected(self) -> dict[str, str]:
        return {Path(one.path).name: one.digest for one in self.baseline.paths("")}


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path)
    yield made
    made.baseline.close()


NEW = {"local": sha256(b"old"), "program": sha256(b"new")}


def test_nothing_is_wished_and_nothing_done(device: Device) -> None:
    assert device.carry_out() == ""
    assert device.baseline.digest() == device.before


def test_a_manifest_is_taken_and_the_one_before_comes_back(device: Device) -> None:
    words = f"use {device.manifest()}"
    wish(device.folder, words)
    assert device.carry_out() == words
    assert device.expected() == NEW
    assert device.carry_out() == ""
    wish(device.folder, "return")
    device.carry_out()
    assert device.baseline.digest() == device.before
    assert device.baseline.known(f"{device.root}/gone") is not None


def test_each_wish_may_come_again(device: Device) -> None:
    for _ in range(2):
        wish(device.folder, f"use {device.manifest()}")
        device.carry_out()
    assert device.expected() == NEW
    for _ in range(2):
        wish(device.folder, "return")
        device.carry_out()
    assert device.baseline.digest() == device.before


def test_what_is_forgotten_does_not_come_back(device: Device) -> None:
    for words in (f"use {device.manifest()}", "forget", "return"):
        wish(device.folder, words)
        device.carry_out()
    assert device.expected() == NEW


def test_a_manifest_that_is_not_the_signed_one_changes_nothing(device: Device) -> None:
    digest = device.manifest()
    path = manifest_path(device.folder, digest)
    path.write_bytes(path.read_bytes().replace(b"program", b"prograM"))
    wish(device.folder, f"use {digest}")
    with pytest.raises(ParseError, match="expected SHA-256"):
        device.carry_out()
    assert device.baseline.digest() == device.before
    assert (device.folder / WISH_FILE).exists()


def test_one_that_is_cut_changes_nothing(device: Device) -> None:
    data = b"".join(file_manifest.encode([record("/a", b"x"), record("/b", b"y")]))[:-5]
    manifest_path(device.folder, sha256(data)).write_bytes(data)
    wish(device.folder, f"use {sha256(data)}")
    with pytest.raises(ParseError):
        device.carry_out()
    assert device.baseline.digest() == device.before


def test_one_that_is_missing_stays_wished(device: Device) -> None:
    wish(device.folder, f"use {'0' * 64}")
    with pytest.raises(StoreError, match="cannot be read"):
        device.carry_out()
    assert (device.folder / WISH_FILE).exists()


def test_nonsense_is_told_once(device: Device) -> None:
    (device.folder / WISH_FILE).write_bytes(b"use ../../etc\n")
    with pytest.raises(StoreError, match="expected use, return or forget"):
        device.carry_out()
    assert device.carry_out() == ""


def test_a_cut_after_the_copy_keeps_the_true_one_before(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish(device.folder, f"use {device.manifest()}")
    with monkeypatch.context() as patched:
        patched.setattr(device.baseline, "accept", _cut)
        with pytest.raises(KeyboardInterrupt):
            device.carry_out()
    device.carry_out()
    wish(device.folder, "return")
    device.carry_out()
    assert device.baseline.digest() == device.before


def _cut(*_: object) -> int:
    raise KeyboardInterrupt


def test_a_device_whose_first_scan_has_not_ended_waits(tmp_path: Path) -> None:
    (tmp_path / "firmware").mkdir()
    baseline = SqliteBaseline(tmp_path)
    baseline.open()
    data = b"".join(file_manifest.encode([record("/a", b"x")]))
    manifest_path(tmp_path / "firmware", sha256(data)).write_bytes(data)
    wish(tmp_path / "firmware", f"use {sha256(data)}")
    with pytest.raises(StoreError, match="first scan"):
        FirmwareBaseline(baseline, tmp_path / "firmware").carry_out()
    baseline.close()
    assert (tmp_path / "firmware" / WISH_FILE).exists()
