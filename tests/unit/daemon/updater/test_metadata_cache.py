from __future__ import annotations

from pathlib import Path

import pytest
from tests.simulators.tuf_repository import MemorySource, Repository

from vedette.daemon.updater.metadata_cache import MAX_FILES, CachedSource


class _Bare(Repository):
    def __init__(self) -> None:
        self.files = {"timestamp.json": b"{}", "1.root.json": b"root"}
        self.targets = {}


@pytest.fixture
def memory() -> MemorySource:
    return MemorySource(_Bare())


def test_what_has_a_version_in_its_name_is_asked_for_once(
    memory: MemorySource, tmp_path: Path
) -> None:
    for _ in range(2):
        source = CachedSource(memory, tmp_path / "cache")
        assert source.metadata("1.root.json", 100) == b"root"
        assert source.metadata("timestamp.json", 100) == b"{}"
    assert memory.asked == ["1.root.json", "timestamp.json", "timestamp.json"]


def test_after_clearing_it_is_asked_for_again(memory: MemorySource, tmp_path: Path) -> None:
    source = CachedSource(memory, tmp_path / "cache")
    source.metadata("1.root.json", 100)
    source.clear()
    memory.files["1.root.json"] = b"other"
    assert source.metadata("1.root.json", 100) == b"other"


def test_what_lies_there_is_bounded_and_no_link(memory: MemorySource, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    source = CachedSource(memory, cache)
    (tmp_path / "secret").write_text("secret")
    (cache / "1.root.json").symlink_to(tmp_path / "secret")
    assert source.metadata("1.root.json", 100) == b"root"
    assert (tmp_path / "secret").read_text() == "secret"
    source.clear()
    (cache / "1.root.json").write_bytes(b"x" * 101)
    assert source.metadata("1.root.json", 100) == b"root"


def test_a_cache_that_cannot_be_written_is_as_good_as_none(
    memory: MemorySource, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    source = CachedSource(memory, tmp_path / "cache")
    assert source.metadata("1.root.json", 100) == b"root"
    source.clear()


def test_it_does_not_grow_without_end(memory: MemorySource, tmp_path: Path) -> None:
    source = CachedSource(memory, tmp_path / "cache")
    for number in range(MAX_FILES + 9):
        memory.files[f"{number}.root.json"] = b"x"
        source.metadata(f"{number}.root.json", 100)
    assert len(list((tmp_path / "cache").iterdir())) == MAX_FILES
