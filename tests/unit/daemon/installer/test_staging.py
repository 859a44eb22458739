"""A whole target file on the installer's disk: resumed, hashed, blamed on the right one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vedette.daemon.installer import staging
from vedette.daemon.updater.directory_source import DirectorySource
from vedette.errors import FetchError
from vedette.model.update import Cause
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
