"""A device stands still once neither its console nor its disk has moved for long enough."""

from __future__ import annotations

from vedette_dev.guests.stillness import Stillness

STATS = "disk: rd_bytes=5 wr_bytes=9 rd_operations={} wr_operations=2 idle_time_ns={}"


def test_what_never_moved_stands_still_when_its_time_is_over() -> None:
    stillness = Stillness(120.0)
    assert not stillness.look(0.0, 40, STATS.format(7, 1))
    assert not stillness.look(119.0, 40, STATS.format(7, 119))
    assert stillness.look(120.0, 40, STATS.format(7, 120))


def test_a_line_on_the_console_and_a_request_of_the_disk_are_signs_of_life() -> None:
    stillness = Stillness(10.0)
    looks = [(0.0, 40, 7), (9.0, 41, 7), (18.0, 41, 8), (27.0, 41, 8), (28.0, 41, 8)]
    found = [stillness.look(at_s, size, STATS.format(done, at_s)) for at_s, size, done in looks]
    assert found == [False, False, False, False, True]


def test_a_monitor_that_says_nothing_any_more_is_no_sign_of_life() -> None:
    stillness = Stillness(10.0)
    assert not stillness.look(0.0, 40, STATS.format(7, 1))
    assert not stillness.look(9.0, 40, "")
    assert stillness.look(10.0, 40, "")


def test_nothing_is_said_of_a_device_whose_emulator_starts_still() -> None:
    stillness = Stillness(10.0)
    assert not stillness.look(0.0, 0, "")
    assert not stillness.look(60.0, 0, "")
    assert not stillness.look(61.0, 40, STATS.format(7, 1))
