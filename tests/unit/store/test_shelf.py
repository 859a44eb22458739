"""A folder of whole files."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.errors import StoreError
from vedette.store.shelf import FileShelf


def test_saved_is_loaded_listed_and_removed(tmp_path: Path) -> None:
    shelf = FileShelf(tmp_path / "rules", max_bytes=100)
    shelf.save("b", b"two")
    shelf.save("a", b"one")
    shelf.save("a", b"three")
    assert shelf.names() == ["a", "b"]
    assert shelf.load("a") == b"three"
    shelf.remove("a")
    shelf.remove("a")
    assert shelf.load("a") is None
    assert (tmp_path / "rules").stat().st_mode & 0o777 == 0o700


def test_what_a_power_cut_left_half_written_is_not_listed(tmp_path: Path) -> None:
    shelf = FileShelf(tmp_path, max_bytes=100)
    (tmp_path / "a.new").write_bytes(b"ha")
    assert shelf.names() == []
    shelf.save("a", b"half and half")
    assert shelf.names() == ["a"]


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "A", "a.new", "a" * 129])
def test_a_name_that_is_no_plain_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        FileShelf(tmp_path, max_bytes=100).save(name, b"")


def test_too_long_is_refused_both_ways(tmp_path: Path) -> None:
    shelf = FileShelf(tmp_path, max_bytes=4)
    with pytest.raises(StoreError, match="at most 4 bytes"):
        shelf.save("a", b"12345")
    (tmp_path / "a").write_bytes(b"12345")
    with pytest.raises(StoreError, match="at most 4 bytes"):
        shelf.load("a")


def test_a_link_in_place_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"mine")
    shelf = FileShelf(tmp_path / "rules", max_bytes=100)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.new").symlink_to(target)
    with pytest.raises(StoreError):
        shelf.save("a", b"theirs")
    assert target.read_bytes() == b"mine"


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    shelf = FileShelf(tmp_path / "none", max_bytes=100)
    assert shelf.names() == []
    assert shelf.load("a") is None
    shelf.remove("a")
    assert not (tmp_path / "none").exists()
