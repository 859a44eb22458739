"""The wall clock beside the time since boot: a step is told once, a slew never."""

from __future__ import annotations

from vedette.daemon.clock_watch import ClockWatch


def test_a_step_either_way_is_told_once() -> None:
    watch = ClockWatch(100.0, 1_700_000_000.0)
    assert watch.stepped_s(110.0, 1_700_000_010.0) == 0.0
    assert watch.stepped_s(120.0, 1_600_000_000.0) == -100_000_020.0
    assert watch.stepped_s(130.0, 1_600_000_010.0) == 0.0
    assert watch.stepped_s(140.0, 1_600_003_620.0) == 3600.0


def test_a_time_service_that_slews_is_not_told() -> None:
    watch, boot_s, wall_s = ClockWatch(0.0, 1e9), 0.0, 1e9
    for _ in range(1000):
        boot_s, wall_s = boot_s + 10.0, wall_s + 10.005
        assert watch.stepped_s(boot_s, wall_s) == 0.0
