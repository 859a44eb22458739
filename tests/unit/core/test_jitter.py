from __future__ import annotations

from vedette.core.jitter import next_check_s, pause_s


def test_a_pause_is_drawn_from_nothing_to_its_bound() -> None:
    assert pause_s(1, 2.0, 60.0, 0.0) == 0.0
    assert pause_s(1, 2.0, 60.0, 0.5) == 1.0
    assert pause_s(3, 2.0, 60.0, 0.5) == 4.0


def test_the_bound_is_capped_however_many_failures() -> None:
    assert pause_s(10, 2.0, 60.0, 0.5) == 30.0
    assert pause_s(10**9, 2.0, 60.0, 0.5) == 30.0
    assert pause_s(0, 2.0, 60.0, 0.5) == 1.0


def test_a_device_looks_once_an_interval_in_the_mean() -> None:
    chances = [index / 1000 for index in range(1000)]
    mean = sum(next_check_s(3600, 0, chance) for chance in chances) / 1000
    assert 3500 < mean < 3700


def test_failures_make_it_rarer_up_to_eight_intervals_in_the_mean() -> None:
    assert next_check_s(3600, 1, 0.5) == 2 * 3600
    assert next_check_s(3600, 50, 0.5) == 8 * 3600


def test_a_fleet_that_lost_its_server_at_one_moment_comes_back_evenly() -> None:
    tenth = [0] * 10
    for index in range(1000):
        tenth[int(next_check_s(600, 0, index / 1000) / 120)] += 1
    assert min(tenth) == max(tenth) == 100
