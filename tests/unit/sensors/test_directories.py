"""The cache from directory handle to path."""

from __future__ import annotations

from vedette.sensors._directories import GONE, SWEEPS_PER_BATCH, Directories
from vedette.sensors._trees import Place

PATHS = {b"a": "/t/a", b"ab": "/t/a/b", b"ax": "/t/ax", b"o": "/other"}


def place(path: str) -> Place | None:
    return Place(path + "/", None, frozenset()) if path.startswith("/t") else None


def test_a_path_is_looked_up_once() -> None:
    asked: list[bytes] = []

    def resolve(key: bytes) -> str | None:
        asked.append(key)
        return PATHS.get(key)

    directories = Directories(resolve, place)
    assert directories.find(b"a") == Place("/t/a/", None, frozenset())
    assert directories.find(b"a") is directories.find(b"a")
    assert directories.find(b"o") is None
    assert directories.find(b"o") is None
    assert asked == [b"a", b"o"]


def test_what_is_gone_is_never_kept() -> None:
    directories = Directories(lambda _: None, place)
    assert directories.find(b"?") is GONE
    assert len(directories) == 0
    assert directories.path_of(b"?") is None


def test_it_is_bounded_and_the_oldest_goes_first() -> None:
    directories = Directories(PATHS.get, place, limit=2)
    for key in (b"a", b"ab", b"ax"):
        directories.find(key)
    assert (len(directories), directories.evicted) == (2, 1)
    directories.find(b"a")
    assert directories.misses == 4


def test_a_moved_directory_takes_its_subtree_out_but_not_its_namesake() -> None:
    directories = Directories(PATHS.get, place)
    for key in PATHS:
        directories.find(key)
    directories.moved("/t/a", came_in=False)
    assert len(directories) == 2
    misses = directories.misses
    directories.find(b"ax")
    directories.find(b"o")
    assert directories.misses == misses


def test_one_that_came_in_voids_what_did_not_matter() -> None:
    directories = Directories(PATHS.get, place)
    for key in PATHS:
        directories.find(key)
    directories.moved("/other", came_in=True)
    assert len(directories) == 3


def test_a_storm_of_moves_empties_the_cache_instead_of_sweeping_it_each_time() -> None:
    directories = Directories(PATHS.get, place)
    directories.find(b"a")
    for _ in range(SWEEPS_PER_BATCH + 1):
        directories.moved("/t/z", came_in=False)
    assert len(directories) == 0


def test_a_removed_directory_is_known_to_the_end_of_its_batch() -> None:
    directories = Directories(lambda _: None, place)
    directories.learn(b"n", "/t/n")
    directories.removed(b"n")
    assert directories.find(b"n") == Place("/t/n/", None, frozenset())
    directories.end_batch()
    assert directories.find(b"n") is GONE


def test_nothing_is_learnt_without_a_handle() -> None:
    directories = Directories(lambda _: None, place)
    directories.learn(b"", "/t/n")
    directories.learn_unwatched(b"")
    directories.removed(b"")
    assert len(directories) == 0
