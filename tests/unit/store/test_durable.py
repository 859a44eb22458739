"""Durable writes: whole under their name, synced in the right order, explained when refused."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.simulators.failing_disk import FailingDisk

from vedette.errors import StoreError
from vedette.store import durable


def write(folder: Path) -> None:
    durable.write(folder / "file", b"new content")


def append(folder: Path) -> None:
    durable.append(folder / "file", b"and more")


def overwrite(folder: Path) -> None:
    durable.overwrite(folder / "file", b"XXX", 2)


def switch_link(folder: Path) -> None:
    durable.switch_link(folder / "link", "second")


def rename(folder: Path) -> None:
    durable.rename(folder / "file", folder / "below" / "file")


def remove(folder: Path) -> None:
    durable.remove(folder / "file")


def make_folder(folder: Path) -> None:
    durable.make_folder(folder / "a" / "b")


def sync_tree(folder: Path) -> None:
    durable.sync_tree(folder)


CALLS: dict[Callable[[Path], None], list[str]] = {
    write: ["open", "write", "fsync", "rename", "open", "fsync"],
    append: ["open", "write", "fsync"],
    overwrite: ["open", "pwrite", "fsync"],
    switch_link: ["unlink", "symlink", "rename", "open", "fsync"],
    rename: ["rename", "open", "fsync", "open", "fsync"],
    remove: ["unlink", "open", "fsync"],
    make_folder: ["mkdir", "open", "fsync", "mkdir", "open", "fsync"],
    sync_tree: ["open", "fsync"] * 3,
}
"""What each does, in this order: a sync that comes too early or is left out is a defect."""


def prepared(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "file").write_bytes(b"old content")
    (folder / "link").symlink_to("first")
    (folder / "below").mkdir()
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepared(tmp_path)


def use(monkeypatch: pytest.MonkeyPatch, disk: FailingDisk) -> FailingDisk:
    monkeypatch.setattr(durable, "disk", disk)
    return disk


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_each_syncs_what_it_changed_in_the_right_order(
    folder: Path, call: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = use(monkeypatch, FailingDisk())
    call(folder)
    assert disk.changes == CALLS[call]


@pytest.mark.parametrize(
    ("call", "step"), [(call, step) for call in CALLS for step in range(len(CALLS[call]))]
)
def test_a_refusal_at_any_step_is_a_store_error_and_leaves_no_temporary(
    folder: Path, call: Callable[[Path], None], step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = use(monkeypatch, FailingDisk(step + 1, errno.EIO))
    with pytest.raises(StoreError, match="Input/output error"):
        call(folder)
    assert disk.changes[: step + 1] == CALLS[call][: step + 1]
    assert not [path for path in folder.iterdir() if durable.is_temporary(path)]


def test_on_a_full_disk_the_old_content_stands(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(1, 5):
        use(monkeypatch, FailingDisk(step, is_lasting=True))
        with pytest.raises(StoreError, match="cannot be written: No space left"):
            durable.write(folder / "file", b"new content")
        assert (folder / "file").read_bytes() == b"old content"


def test_what_a_full_disk_took_of_an_append_is_cut_off_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (2, 3):
        use(monkeypatch, FailingDisk(step, is_lasting=True))
        with pytest.raises(StoreError, match="cannot be appended to: No space left"):
            durable.append(folder / "file", b"and more")
        assert (folder / "file").read_bytes() == b"old content"


def test_an_append_adds_and_makes_a_private_file(folder: Path) -> None:
    for _ in range(2):
        durable.append(folder / "log", b"line\n")
    assert (folder / "log").read_bytes() == b"line\nline\n"
    assert (folder / "log").stat().st_mode & 0o777 == 0o600


def test_an_overwrite_changes_only_its_bytes(folder: Path) -> None:
    durable.overwrite(folder / "file", b"XXX", 2)
    assert (folder / "file").read_bytes() == b"olXXXontent"


@pytest.mark.parametrize("name", ["link", "nothing"])
def test_an_overwrite_follows_no_link_and_makes_nothing(folder: Path, name: str) -> None:
    (folder / "first").write_bytes(b"elsewhere")
    with pytest.raises(StoreError, match="cannot be overwritten"):
        durable.overwrite(folder / name, b"XXX")
    assert (folder / "first").read_bytes() == b"elsewhere"
    assert not (folder / "nothing").exists()


def test_a_link_is_switched_and_never_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "link.new").symlink_to("left by a power cut")
    for step in range(1, 6):
        use(monkeypatch, FailingDisk(step))
        with pytest.raises(StoreError, match="cannot be made to lead to 'second'"):
            durable.switch_link(folder / "link", "second")
        assert os.readlink(folder / "link") == ("first" if step < 4 else "second")  # noqa: PTH115


def test_a_folder_is_never_replaced_by_a_link(folder: Path) -> None:
    with pytest.raises(StoreError, match="Is a directory"):
        durable.switch_link(folder / "below", "second")
    assert (folder / "below").is_dir()


def test_a_short_write_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ShortDisk(FailingDisk):
        def write(self, descriptor: int, data: memoryview) -> int:
            return os.write(descriptor, data[:3])

        def pwrite(self, descriptor: int, data: memoryview, offset: int) -> int:
            return os.pwrite(descriptor, data[:3], offset)

    use(monkeypatch, ShortDisk())
    durable.write(folder / "file", b"0123456789")
    durable.overwrite(folder / "file", b"abcdefgh", 1)
    assert (folder / "file").read_bytes() == b"0abcdefgh9"


def test_removing_what_is_not_there_is_no_error_and_a_folder_is_refused(folder: Path) -> None:
    durable.remove(folder / "nothing")
    with pytest.raises(StoreError, match="cannot be removed"):
        durable.remove(folder / "below")


def test_a_tree_is_synced_without_following_links_or_opening_devices(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "below" / "out").symlink_to("/etc")
    os.mkfifo(folder / "below" / "pipe")
    disk = use(monkeypatch, FailingDisk())
    durable.sync_tree(folder)
    assert disk.changes == ["open", "fsync"] * 3
    with pytest.raises(StoreError, match="nothing: cannot be synced: No such file"):
        durable.sync_tree(folder / "nothing")
