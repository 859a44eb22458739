"""Good copies on the disk: bounded, whole or none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vedette.errors import StoreError
from vedette.model.baseline import GoodCopy
from vedette.store.good_copies import FOLDER, FileGoodCopies, key_of

CONTENT = b"good"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COPY = GoodCopy("/etc/x", {"user.a": b"1"}, CONTENT)


@pytest.fixture
def copies(tmp_path: Path) -> FileGoodCopies:
    return FileGoodCopies(tmp_path, file_bytes=100)


def test_a_copy_is_found_by_path_and_digest(copies: FileGoodCopies, tmp_path: Path) -> None:
    assert copies.find("/etc/x", SHA256) is None
    copies.keep(COPY)
    assert FileGoodCopies(tmp_path, file_bytes=100).find("/etc/x", SHA256) == COPY
    assert copies.find("/etc/y", SHA256) is None
    assert copies.find("/etc/x", "0" * 64) is None


def test_only_root_can_read_them(copies: FileGoodCopies, tmp_path: Path) -> None:
    copies.keep(COPY)
    (file,) = (tmp_path / FOLDER).iterdir()
    assert file.stat().st_mode & 0o7777 == 0o600
    assert file.parent.stat().st_mode & 0o7777 == 0o700


def test_the_next_one_takes_the_place_of_the_one_before(copies: FileGoodCopies) -> None:
    copies.keep(COPY)
    copies.keep(COPY._replace(content=b"better"))
    assert copies.find("/etc/x", SHA256) is None
    assert copies.find("/etc/x", hashlib.sha256(b"better").hexdigest()) is not None


def test_what_is_torn_is_no_copy(copies: FileGoodCopies, tmp_path: Path) -> None:
    copies.keep(COPY)
    (file,) = (tmp_path / FOLDER).iterdir()
    whole = file.read_bytes()
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        assert copies.find("/etc/x", SHA256) is None
    file.write_bytes(bytes(len(whole)))
    assert copies.find("/etc/x", SHA256) is None


def test_a_copy_under_another_name_is_none(copies: FileGoodCopies, tmp_path: Path) -> None:
    copies.keep(COPY)
    (file,) = (tmp_path / FOLDER).iterdir()
    other = hashlib.sha256(b"/etc/shadow").hexdigest()
    file.rename(file.with_name(other))
    assert copies.find("/etc/shadow", SHA256) is None


def test_more_than_the_limit_is_refused(copies: FileGoodCopies) -> None:
    with pytest.raises(StoreError, match="expected at most"):
        copies.keep(COPY._replace(content=b"x" * 400_000))
    assert copies.find("/etc/x", SHA256) is None


def test_others_than_wanted_are_dropped(copies: FileGoodCopies) -> None:
    copies.keep(COPY)
    copies.keep(COPY._replace(path="/etc/y"))
    assert copies.retain({key_of("/etc/x"), key_of("/etc/z")}) == 1
    assert copies.find("/etc/x", SHA256) == COPY
    assert copies.find("/etc/y", SHA256) is None
