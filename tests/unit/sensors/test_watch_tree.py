"""The folders under inotify, over a watcher that counts."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from vedette.sensors._watch_tree import WatchTree


class Counting:
    """Gives descriptors as the kernel does: the same folder has the same one."""

    def __init__(self, refused: dict[str, int] | None = None) -> None:
        self.watched: dict[int, int] = {}
        self.removed: list[int] = []
        self.refused = refused or {}

    def add_watch(self, path: str, mask: int) -> int:
        del mask
        if path in self.refused:
            number = self.refused[path]
            raise OSError(number, os.strerror(number))
        inode = Path(path).stat().st_ino
        return self.watched.setdefault(inode, len(self.watched) + 1)

    def rm_watch(self, wd: int) -> None:
        self.removed.append(wd)


def test_all_folders_are_watched_and_all_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "f").touch()
    (tmp_path / "link").symlink_to("a")
    tree = WatchTree(Counting(), 0, ())
    found = set(tree.add_trees((str(tmp_path),)))
    assert found == {
        (f"{tmp_path}/a", True),
        (f"{tmp_path}/a/b", True),
        (f"{tmp_path}/a/f", False),
        (f"{tmp_path}/link", False),
    }
    assert len(tree) == 3


def test_a_folder_left_out_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    tree = WatchTree(Counting(), 0, {f"{tmp_path}/a"})
    assert list(tree.add_trees((str(tmp_path),))) == [(f"{tmp_path}/a", True)]
    assert tree.blind_spots == ()


def test_refusals_are_blind_spots_with_what_to_do(tmp_path: Path) -> None:
    for name in ("secret", "full", "gone"):
        (tmp_path / name).mkdir()
    refused = {
        f"{tmp_path}/secret": errno.EACCES,
        f"{tmp_path}/full": errno.ENOSPC,
        f"{tmp_path}/gone": errno.ENOENT,
    }
    tree = WatchTree(Counting(refused), 0, ())
    list(tree.add_trees((str(tmp_path),)))
    assert sorted(tree.blind_spots) == [
        f"{tmp_path}/full: no watch left: raise fs.inotify.max_user_watches",
        f"{tmp_path}/secret: Permission denied",
    ]


def test_moving_and_dropping_follow_the_subtree(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    watcher = Counting()
    tree = WatchTree(watcher, 0, ())
    list(tree.add_trees((str(tmp_path),)))
    tree.moved(f"{tmp_path}/a", f"{tmp_path}/z")
    assert f"{tmp_path}/z/b" in tree
    assert f"{tmp_path}/a/b" not in tree
    assert f"{tmp_path}/ab" in tree
    tree.drop(f"{tmp_path}/z")
    assert len(watcher.removed) == 2
    assert len(tree) == 2


def test_blind_spots_are_bounded(tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"{number}").mkdir()
    tree = WatchTree(Counting(), 0, (), limit=1)
    list(tree.add_trees((str(tmp_path),)))
    assert tree.unwatched == 60
    assert len(tree.blind_spots) == 21
    assert tree.blind_spots[-1] == "and 40 more folders"


def test_what_is_made_later_finds_a_watch_that_was_spared(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"old-{number}").mkdir()
    tree = WatchTree(Counting(), 0, (), limit=8)
    list(tree.add_trees((str(tmp_path),), is_new=False))
    assert len(tree) == 7
    (tmp_path / "new").mkdir()
    assert tree.add(str(tmp_path / "new"))


def test_at_the_limit_the_deepest_folders_give_way(tmp_path: Path) -> None:
    (tmp_path / "deep" / "down" / "below").mkdir(parents=True)
    (tmp_path / "near").mkdir()
    tree = WatchTree(Counting(), 0, (), limit=3)
    list(tree.add_trees((str(tmp_path),)))
    assert str(tmp_path / "near") in tree
    assert str(tmp_path / "deep") in tree
    assert str(tmp_path / "deep" / "down") not in tree


def test_a_large_tree_takes_no_watch_from_the_next_ones(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / "large" / "below" / f"{number}").mkdir(parents=True)
    (tmp_path / "small" / "below").mkdir(parents=True)
    tree = WatchTree(Counting(), 0, (), limit=16)
    list(tree.add_trees((f"{tmp_path}/large", f"{tmp_path}/small"), is_new=False))
    assert len(tree) == 14
    assert f"{tmp_path}/small/below" in tree


def test_at_the_limit_what_is_watched_already_is_no_blind_spot(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    tree = WatchTree(Counting(), 0, (), limit=2)
    for _ in range(2):
        found = list(tree.add_trees((str(tmp_path),)))
        assert found == [(f"{tmp_path}/a", True)]
    assert tree.unwatched == 0


def test_a_watch_the_kernel_gave_up_is_forgotten(tmp_path: Path) -> None:
    tree = WatchTree(Counting(), 0, ())
    assert tree.add(str(tmp_path))
    tree.forget(1)
    tree.forget(99)
    assert tree.path(1) is None
    assert str(tmp_path) not in tree
