"""The way to a file: which links are followed, and what cannot lead us elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vedette.responses import _place
from vedette.responses._place import LINKS_MAX, RefusedError, held

NOBODY = 65534


def test_a_place_is_named_without_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "far").symlink_to(tmp_path / "link/../link")
    for way in ("real", "link", "far", "./real/.", "far/../real"):
        with held(f"{tmp_path}/{way}/file") as place:
            assert place.path == f"{tmp_path}/real/file"
            assert place.name == "file"
            assert os.fstat(place.folder).st_ino == (tmp_path / "real").stat().st_ino
            assert place.status() is None


def test_the_last_name_is_never_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with held(f"{tmp_path}/link") as place:
        status = place.status()
        assert status is not None
        assert status.st_ino == (tmp_path / "link").lstat().st_ino


def test_a_link_that_others_can_put_there_is_not_followed(tmp_path: Path, as_root: None) -> None:
    (tmp_path / "victim").mkdir()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "link").symlink_to(tmp_path / "victim")
    with held(f"{theirs}/link/file"):
        pass
    for owner, mode in ((NOBODY, 0o755), (0, 0o777), (0, 0o775)):
        os.chown(theirs, owner, 0)
        theirs.chmod(mode)
        with (
            pytest.raises(RefusedError, match="is a link that others than root"),
            held(f"{theirs}/link/file"),
        ):
            pass
    theirs.chmod(0o1777)  # as /tmp: only root can replace what root put there
    with held(f"{theirs}/link/file"):
        pass
    os.lchown(theirs / "link", NOBODY, 0)
    with pytest.raises(RefusedError), held(f"{theirs}/link/file"):
        pass


def test_a_link_behind_a_folder_of_others_is_not_followed(tmp_path: Path, as_root: None) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "mine").mkdir(parents=True)
    (theirs / "mine" / "link").symlink_to("/etc")
    os.chown(theirs, NOBODY, 0)
    with pytest.raises(RefusedError), held(f"{theirs}/mine/link/file"):
        pass
    with held(f"{theirs}/mine/file") as place:
        assert not place.is_guarded


def test_guarded_is_what_only_root_can_replace(tmp_path: Path, as_root: None) -> None:
    with held("/etc/passwd") as place:
        assert place.is_guarded
    with held("/tmp/x") as place:
        assert place.is_guarded
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "inner").mkdir()
    with held(f"{tmp_path}/open/inner/x") as place:
        assert not place.is_guarded


def test_links_in_a_ring_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match=f"more than {LINKS_MAX} links"), held(f"{tmp_path}/a/file"):
        pass


@pytest.mark.parametrize("path", ["", "/", "relative", "/a/..", "/a\0b"])
def test_what_is_no_path_of_a_file_is_refused(path: str) -> None:
    with pytest.raises(RefusedError, match="expected the absolute path of a file"), held(path):
        pass


def test_folders_that_are_not_there_or_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), held(f"{tmp_path}/file/x"):
        pass
    with pytest.raises(FileNotFoundError), held(f"{tmp_path}/none/x"):
        pass


def test_what_another_host_serves_is_not_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_place, "is_remote", lambda kind: kind == "proc")
    with (
        pytest.raises(RefusedError, match="another host or a user's process \\(proc\\)"),
        held("/proc/sys/x"),
    ):
        pass


def test_it_leaves_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")
    before = {path.name for path in Path("/proc/self/fd").iterdir()}
    for path in (f"{tmp_path}/x", f"{tmp_path}/none/x", f"{tmp_path}/a/x", "/tmp/.."):
        try:
            with held(path):
                pass
        except (OSError, RefusedError):
            continue
    assert {path.name for path in Path("/proc/self/fd").iterdir()} == before
