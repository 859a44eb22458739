"""Which paths are watched."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.sensors._trees import Place, Trees, nearest_existing


def test_a_tree_covers_itself_and_what_is_below_but_not_its_namesakes() -> None:
    trees = Trees(("/nonexistent/etc",))
    assert trees.covers("/nonexistent/etc")
    assert trees.covers("/nonexistent/etc/ssh/x")
    assert not trees.covers("/nonexistent/etc-old")
    assert not trees.covers("/nonexistent")


def test_a_folder_above_matters_for_one_name_only() -> None:
    trees = Trees(("/nonexistent/a/b", "/nonexistent/c"))
    assert trees.place("/nonexistent") == Place(
        "/nonexistent/", frozenset({"a", "c"}), frozenset({"a"})
    )
    assert trees.place("/nonexistent/a") == Place("/nonexistent/a/", frozenset({"b"}), frozenset())
    assert trees.place("/nonexistent/a/b") == Place("/nonexistent/a/b/", None, frozenset())
    assert trees.place("/nonexistent/x") is None
    assert trees.above() == ["/", "/nonexistent", "/nonexistent/a"]


def test_nested_trees_are_one() -> None:
    watch = ("/nonexistent/a!", "/nonexistent/a/b", "/nonexistent/a", "/nonexistent/a/")
    assert set(Trees(watch).roots) == {"/nonexistent/a", "/nonexistent/a!"}


def test_the_root_covers_everything() -> None:
    trees = Trees(("/",))
    assert trees.covers("/")
    assert trees.covers("/etc")
    assert trees.place("/") == Place("/", None, frozenset())
    assert trees.above() == []


def test_a_watched_link_is_followed_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert Trees((str(tmp_path / "link"),)).roots == (str(tmp_path.resolve() / "real"),)


def test_the_nearest_existing_folder(tmp_path: Path) -> None:
    assert nearest_existing(str(tmp_path / "no" / "such")) == str(tmp_path)
    assert nearest_existing("/") == "/"


@pytest.mark.parametrize("watch", [(), ("etc",), ("/etc", "")])
def test_nothing_and_relative_paths_are_refused(watch: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Trees(watch)


_NAMES = st.lists(st.sampled_from(["a", "b", "a!", "é", "\udcff"]), min_size=1, max_size=4)


@given(st.lists(_NAMES, min_size=1, max_size=4), _NAMES)
def test_a_path_is_covered_exactly_when_a_watched_path_is_above_it(
    watched: list[list[str]], names: list[str]
) -> None:
    base = "/nonexistent/"
    trees = Trees(tuple(base + "/".join(parts) for parts in watched))
    expected = any(names[: len(parts)] == parts for parts in watched)
    assert trees.covers(base + "/".join(names)) == expected
