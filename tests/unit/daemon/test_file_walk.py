"""Walking and reading: order, links, and files that change under the reader."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from vedette.daemon import file_walk
from vedette.daemon.file_walk import Entry, read_record, walk


class Skips:
    """What could not be walked or read."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, path: str, reason: str) -> None:
        self.lines.append((path, reason))


def entry_of(path: Path) -> Entry:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    return Entry(str(path), folder, path.name, path.lstat())


def paths(root: Path, skips: Skips) -> list[str]:
    return [entry.path for entry in walk(str(root), skips, lambda _: False)]


def test_folders_come_before_their_content_in_the_order_of_bytes(tmp_path: Path) -> None:
    for name in ("a!", "a/b", "é", "\udcff", "B"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [path.removeprefix(str(tmp_path)) for path in paths(tmp_path, Skips())]
    assert names == ["", "/B", "/a", "/a/b", "/a!", "/é", "/\udcff"]


def test_a_link_is_told_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "up").symlink_to("..")
    skips = Skips()
    assert paths(tmp_path, skips) == [str(tmp_path), f"{tmp_path}/up"]
    record = read_record(entry_of(tmp_path / "up"), skips).record
    assert (record.kind, record.digest) == ("link", hashlib.sha256(b"..").hexdigest())


def test_what_is_deeper_or_wider_than_the_bounds_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    monkeypatch.setattr(file_walk, "DEPTH_MAX", 2)
    skips = Skips()
    assert paths(tmp_path, skips)[-1] == f"{tmp_path}/a/b"
    assert skips.lines == [(f"{tmp_path}/a/b", "deeper than 2 folders")]
    (tmp_path / "x").touch()
    monkeypatch.setattr(file_walk, "FOLDER_NAMES_MAX", 1)
    skips = Skips()
    assert paths(tmp_path, skips) == [str(tmp_path)]
    assert skips.lines == [(str(tmp_path), "more than 1 names in one folder")]


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 250, 300])
def test_every_size_around_the_buffer_is_read_whole(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_walk, "READ_BYTES", 100)
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)
    reading = read_record(entry_of(tmp_path / "f"), Skips())
    assert reading.record.digest == hashlib.sha256(content).hexdigest()
    assert reading.hashed_bytes == size


def test_a_file_replaced_after_it_was_listed_is_judged_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    entry = entry_of(tmp_path / "f")
    (tmp_path / "new").write_text("other")
    (tmp_path / "new").rename(tmp_path / "f")
    record = read_record(entry, Skips()).record
    assert record.digest == hashlib.sha256(b"other").hexdigest()
    assert record.inode == (tmp_path / "f").stat().st_ino


def test_a_file_replaced_by_a_link_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    entry = entry_of(tmp_path / "f")
    (tmp_path / "f").unlink()
    (tmp_path / "f").symlink_to("/etc/passwd")
    skips = Skips()
    assert read_record(entry, skips).record.digest == ""
    assert skips.lines[0][0] == f"{tmp_path}/f"


def test_a_file_that_grows_for_ever_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_walk, "HASH_BYTES_MAX", 250)
    monkeypatch.setattr(file_walk, "READ_BYTES", 100)
    (tmp_path / "f").write_bytes(b"x" * 100)
    monkeypatch.setattr(os, "read", lambda _, size: b"x" * size)
    skips = Skips()
    record = read_record(entry_of(tmp_path / "f"), skips).record
    assert record.digest == ""
    assert "grew beyond" in skips.lines[0][1]


def test_a_removed_file_and_a_missing_root(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    entry = entry_of(tmp_path / "f")
    (tmp_path / "f").unlink()
    skips = Skips()
    assert read_record(entry, skips).record.digest == ""
    assert skips.lines == [(f"{tmp_path}/f", "No such file or directory")]
    assert list(walk(str(tmp_path / "no" / "such"), Skips(), lambda _: False)) == []
