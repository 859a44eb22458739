"""What falls together takes one wake-up."""

from __future__ import annotations

import pytest

from vedette.kernel.ticks import next_tick_s


@pytest.mark.parametrize(
    ("now_s", "period_s", "expected_s"),
    [(0.0, 5.0, 5.0), (4.999, 5.0, 5.0), (5.0, 5.0, 10.0), (61.5, 60.0, 120.0), (0.3, 0.25, 0.5)],
)
def test_a_tick_is_the_next_multiple(now_s: float, period_s: float, expected_s: float) -> None:
    assert next_tick_s(now_s, period_s) == expected_s


def test_longer_periods_fall_on_ticks_of_shorter_ones() -> None:
    for now_s in (0.1, 17.3, 1234.5, 9_876_543.21):
        looks = {next_tick_s(now_s + step, 5.0) for step in range(0, 901, 5)}
        assert {next_tick_s(now_s, period) for period in (10.0, 30.0, 60.0, 300.0, 900.0)} <= looks
