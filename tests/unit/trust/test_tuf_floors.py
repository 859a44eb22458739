from __future__ import annotations

import pytest
from tests.simulators.memory_state import MemoryState

from vedette.errors import StoreError
from vedette.trust.tuf_floors import MAX_ROLES, Floors, Keys

ONE = Keys(1, frozenset({"a"}))
TWO_OF_THREE = Keys(2, frozenset({"a", "b", "c"}))
SNAPSHOT = Keys(1, frozenset({"s"}))
NEW_SNAPSHOT = Keys(1, frozenset({"t"}))


@pytest.fixture
def floors() -> Floors:
    return Floors(MemoryState(), build_s=1000)


@pytest.mark.parametrize(
    ("then", "now", "kept"),
    [
        (ONE, ONE, 7),
        (ONE, Keys(1, frozenset({"a", "b"})), 7),
        (ONE, Keys(2, frozenset({"a", "b"})), 7),
        (ONE, Keys(1, frozenset({"b"})), 0),
        (TWO_OF_THREE, Keys(2, frozenset({"a", "b", "x"})), 7),
        (TWO_OF_THREE, Keys(2, frozenset({"a", "x", "y"})), 0),
        (TWO_OF_THREE, Keys(1, frozenset({"a"})), 0),
        (ONE, Keys(1, frozenset()), 0),
    ],
)
def test_a_floor_stays_while_enough_of_its_keys_stay(
    then: Keys, now: Keys, kept: int, floors: Floors
) -> None:
    floors.raise_version("root", "timestamp", (then,), 7)
    assert floors.version("root", "timestamp", (now,)) == kept


def test_a_floor_rises_and_does_not_fall_under_the_same_keys(floors: Floors) -> None:
    for version in (3, 9, 4):
        floors.raise_version("root", "timestamp", (ONE,), version)
    assert floors.version("root", "timestamp", (ONE,)) == 9


def test_under_new_keys_it_begins_anew(floors: Floors) -> None:
    new = Keys(1, frozenset({"b"}))
    floors.raise_version("root", "timestamp", (ONE,), 99)
    floors.raise_version("root", "timestamp", (new,), 2)
    assert floors.version("root", "timestamp", (new,)) == 2
    assert floors.version("root", "timestamp", (ONE,)) == 0


def test_keys_that_are_exchanged_one_by_one_do_not_keep_the_floor_of_the_first(
    floors: Floors,
) -> None:
    """Who drove the version up with key a is out when a is, though b was let in meanwhile."""
    both, later = Keys(1, frozenset({"a", "b"})), Keys(1, frozenset({"b"}))
    floors.raise_version("root", "timestamp", (ONE,), 99)
    floors.raise_version("root", "timestamp", (both,), 99)
    assert floors.version("root", "timestamp", (both,)) == 99
    assert floors.version("root", "timestamp", (later,)) == 0


def test_a_targets_role_falls_with_the_keys_of_the_snapshot_too(floors: Floors) -> None:
    floors.raise_version("root", "targets", (ONE, SNAPSHOT), 5)
    assert floors.version("root", "targets", (ONE, SNAPSHOT)) == 5
    assert floors.version("root", "targets", (ONE, NEW_SNAPSHOT)) == 0


def test_the_same_role_below_another_has_a_floor_of_its_own(floors: Floors) -> None:
    floors.raise_version("a", "b/c", (ONE, SNAPSHOT), 5)
    assert floors.version("a/b", "c", (ONE, SNAPSHOT)) == 0


def test_a_snapshot_must_name_what_an_earlier_one_named(floors: Floors) -> None:
    floors.raise_version("root", "timestamp", (ONE,), 1)
    floors.raise_version("root", "targets", (ONE, SNAPSHOT), 1)
    floors.raise_version("targets", "a b", (ONE, SNAPSHOT), 1)
    assert floors.listed(SNAPSHOT) == {("root", "targets"), ("targets", "a%20b")}
    assert floors.listed(NEW_SNAPSHOT) == frozenset()


def test_roles_that_nobody_names_any_more_are_forgotten(floors: Floors) -> None:
    floors.raise_version("root", "targets", (ONE, SNAPSHOT), 4)
    floors.raise_version("targets", "old", (ONE, SNAPSHOT), 4)
    floors.prune({"targets"}, SNAPSHOT)
    assert floors.version("targets", "old", (ONE, SNAPSHOT)) == 4, "it is still needed"
    floors.prune({"targets"}, NEW_SNAPSHOT)
    assert floors.version("targets", "old", (ONE, SNAPSHOT)) == 0
    assert floors.version("root", "targets", (ONE, SNAPSHOT)) == 4


def test_roles_without_end_are_refused(floors: Floors) -> None:
    for number in range(MAX_ROLES):
        floors.raise_version("targets", f"r{number}", (ONE, SNAPSHOT), 1)
    floors.raise_version("targets", "r0", (ONE, SNAPSHOT), 2)
    with pytest.raises(StoreError, match="at most"):
        floors.raise_version("targets", "one more", (ONE, SNAPSHOT), 1)


def test_root_counters_and_time_never_drop(floors: Floors) -> None:
    for number in (5, 9, 2):
        floors.raise_root(number)
        floors.raise_counter("firmware", "cam", number)
        floors.raise_issued(2000 + number)
    assert (floors.root, floors.counter("firmware", "cam"), floors.issued_s) == (9, 9, 2009)
    assert floors.counter("rules", "cam") == floors.counter("firmware", "other") == 0


@pytest.mark.parametrize(
    ("wall_s", "now_s"), [(0.0, 2000.0), (1500.0, 2000.0), (3000.0, 3000.0), (-1e9, 2000.0)]
)
def test_time_is_never_before_the_newest_issue(wall_s: float, now_s: float, floors: Floors) -> None:
    floors.raise_issued(2000)
    assert floors.now(wall_s) == now_s
    assert floors.now(0.0) == 2000.0, "no clock has raised it"


def test_time_is_never_before_the_build(floors: Floors) -> None:
    assert floors.now(0.0) == 1000.0
