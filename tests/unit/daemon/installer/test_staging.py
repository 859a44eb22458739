"""A whole target file on the installer's disk: resumed, hashed, blamed on the right one."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.simulators.failing_disk import FailingDisk

from vedette.daemon.installer import staging
from vedette.daemon.updater.directory_source import DirectorySource
from vedette.errors import FetchError, StoreError
from vedette.model.update import Cause
from vedette.ports.release_source import Reader, ReleaseSource
from vedette.store import durable
from vedette.trust.tuf_client import RefusedError, VerifiedTarget

CONTENT = b"content of a release" * 1000
TARGET = VerifiedTarget(
    "rules/core/x", len(CONTENT), {"sha256": hashlib.sha256(CONTENT).hexdigest()}, None, "rules",
    "x",
)  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> DirectorySource:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "x").write_bytes(CONTENT)
    return DirectorySource(tmp_path, tmp_path / "source")


@pytest.mark.parametrize(
    "had",
    [b"", CONTENT[:777], bytes(777), CONTENT, bytes(len(CONTENT)), CONTENT + b"x"],
    ids=["nothing", "a part", "a torn part", "all", "all of it torn", "too much"],
)
def test_whatever_a_cut_left_is_gone_on_with_or_begun_anew(
    tmp_path: Path, source: DirectorySource, had: bytes
) -> None:
    path = tmp_path / "staged"
    path.write_bytes(had)
    staging.fetch(source, TARGET, path)
    assert path.read_bytes() == CONTENT
    assert staging.is_whole(TARGET, path)


@pytest.mark.parametrize("had", [b"", CONTENT[:777]])
def test_a_source_that_gives_another_content_is_refused_and_nothing_of_it_stays(
    tmp_path: Path, source: DirectorySource, had: bytes
) -> None:
    (tmp_path / "source" / "x").write_bytes(CONTENT[:-1] + b"!")
    path = tmp_path / "staged"
    path.write_bytes(had)
    with pytest.raises(RefusedError, match="not those that rules signed") as caught:
        staging.fetch(source, TARGET, path)
    assert caught.value.cause is Cause.CONTENT
    assert not path.exists()
    assert not staging.is_whole(TARGET, path)


def test_what_breaks_off_stays_for_the_next_time(tmp_path: Path, source: DirectorySource) -> None:
    (tmp_path / "source" / "x").write_bytes(CONTENT[:5000])
    with pytest.raises(FetchError):
        staging.fetch(source, TARGET, tmp_path / "staged")
    assert (tmp_path / "staged").read_bytes() == CONTENT[:5000]


def test_a_hash_that_nobody_knows_is_refused(tmp_path: Path, source: DirectorySource) -> None:
    unknown = TARGET._replace(hashes={**TARGET.hashes, "md5": "0" * 32})
    with pytest.raises(RefusedError, match="expected hashes of") as caught:
        staging.fetch(source, unknown, tmp_path / "staged")
    assert caught.value.cause is Cause.FORMAT


def test_what_was_had_is_not_asked_for_again(tmp_path: Path, source: DirectorySource) -> None:
    (tmp_path / "staged").write_bytes(CONTENT[:777])
    told: list[tuple[int, int]] = []
    asked = _Asked(source)
    staging.fetch(asked, TARGET, tmp_path / "staged", lambda done, all_: told.append((done, all_)))
    assert asked.runs == [(777, len(CONTENT) - 777)]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    staging.fetch(asked, TARGET, tmp_path / "staged")
    assert len(asked.runs) == 1, "what is whole is not asked for"


def test_a_link_in_its_place_is_not_followed(tmp_path: Path, source: DirectorySource) -> None:
    (tmp_path / "staged").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        staging.fetch(source, TARGET, tmp_path / "staged")
    assert not (tmp_path / "elsewhere").exists()
    assert not staging.is_whole(TARGET, tmp_path / "staged")


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_full_disk_is_told_and_gone_on_with_later(
    step: int, tmp_path: Path, source: DirectorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(durable, "disk", FailingDisk(step, errno.ENOSPC, is_lasting=True))
        with pytest.raises(StoreError):
            staging.fetch(source, TARGET, tmp_path / "staged")
    staging.fetch(source, TARGET, tmp_path / "staged")
    assert (tmp_path / "staged").read_bytes() == CONTENT


class _Asked(ReleaseSource):
    """Remembers what was asked for."""

    def __init__(self, source: ReleaseSource) -> None:
        self._source = source
        self.runs: list[tuple[int, int]] = []

    def metadata(self, name: str, max_bytes: int) -> bytes:
        return self._source.metadata(name, max_bytes)

    def target(self, path: str, runs: Sequence[tuple[int, int]]) -> Reader:
        self.runs += runs
        return self._source.target(path, runs)
