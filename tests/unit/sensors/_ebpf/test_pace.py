"""The pace of the ring: soon after calm, seldom in a storm."""

from vedette.sensors._ebpf.pace import QUICK_S, STORM_PER_S, STORM_S, Pace


def test_the_first_record_of_all_is_read_at_once() -> None:
    assert Pace().wait_s(0.0) <= 0.0


def test_a_record_after_calm_is_read_at_once() -> None:
    pace = Pace()
    pace.read(10.0, 1)
    assert pace.wait_s(10.0 + QUICK_S) <= 0.0


def test_one_right_after_another_waits_for_the_rest_of_a_pause() -> None:
    pace = Pace()
    pace.read(10.0, 1)
    waits_s = pace.wait_s(10.0 + QUICK_S / 4)
    assert QUICK_S / 2 < waits_s < QUICK_S


def test_in_a_storm_one_reading_serves_many() -> None:
    pace = Pace()
    pace.read(10.0, 1)
    pace.read(10.0 + QUICK_S, round(STORM_PER_S * QUICK_S) + 1)
    assert pace.pause_s == STORM_S
    pace.read(10.0 + QUICK_S + STORM_S, round(STORM_PER_S * STORM_S * 2))
    assert pace.pause_s == STORM_S


def test_when_the_storm_is_over_it_is_quick_again() -> None:
    pace = Pace()
    pace.read(10.0, 1)
    pace.read(10.001, 100)
    pace.read(10.001 + STORM_S, 3)
    assert pace.pause_s == QUICK_S


def test_a_reading_that_found_nothing_changes_nothing() -> None:
    pace = Pace()
    pace.read(10.0, 1)
    pace.read(10.001, 100)
    pace.read(10.5, 0)
    assert pace.pause_s == STORM_S
    assert pace.wait_s(10.5) <= 0.0


def test_the_first_reading_is_no_storm_however_much_there_is() -> None:
    pace = Pace()
    pace.read(10.0, 200)
    assert pace.pause_s == QUICK_S
