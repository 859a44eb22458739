"""A cell: the new content is whole, and the old one is nowhere any more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vedette.errors import StoreError
from vedette.store import durable
from vedette.store.cell import MAX_BYTES, FileCell


def test_what_was_replaced_last_is_there_and_private(tmp_path: Path) -> None:
    cell = FileCell(tmp_path / "key")
    assert cell.load() is None
    for data in (b"first", b"second, and longer", b""):
        cell.replace(data)
        assert FileCell(tmp_path / "key").load() == data
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_what_was_held_before_is_overwritten(tmp_path: Path) -> None:
    cell = FileCell(tmp_path / "key")
    cell.replace(b"secret")
    with (tmp_path / "key").open("rb") as old:
        cell.replace(b"another")
        assert old.read() == bytes(len(b"secret"))


def test_a_disk_that_refuses_leaves_what_was_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = FileCell(tmp_path / "key")
    cell.replace(b"secret")

    def refuse(path: Path, data: bytes) -> None:
        raise StoreError(f"{path}: no space left")

    monkeypatch.setattr(durable, "write", refuse)
    with pytest.raises(StoreError, match="no space left"):
        cell.replace(b"another")
    assert cell.load() == b"secret"


def test_one_that_cannot_be_overwritten_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = FileCell(tmp_path / "key")
    cell.replace(b"secret")

    def refuse(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(StoreError, match="what it held cannot be overwritten"):
        cell.replace(b"another")
    assert cell.load() == b"another"


def test_a_link_in_its_place_is_replaced_and_what_it_leads_to_is_left(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"not ours")
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    FileCell(tmp_path / "key").replace(b"secret")
    assert (tmp_path / "elsewhere").read_bytes() == b"not ours"
    assert not (tmp_path / "key").is_symlink()


def test_a_file_that_is_far_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(StoreError, match="expected at most"):
        FileCell(tmp_path / "key").load()
