"""A night of devices on which nothing bad happens, through the whole core, with our rules."""

from __future__ import annotations

import pytest
from tests.simulators.iot_stream import CLASSES, iot_day, judged_day
from tests.simulators.shipped import shipped_bundle

from vedette.model.event import Event

NIGHT_S = 4 * 3600.0
"""Whole days are tests/system/test_quiet_day.py's."""
MIN_EVENTS = 8_000


def beginning(device_class: str, seed: int) -> list[Event]:
    stream = iot_day(device_class, seed)
    return [next(stream) for _ in range(2000)]


@pytest.mark.thorough
@pytest.mark.parametrize("device_class", CLASSES)
def test_a_night_without_attacks_gives_at_most_one_finding(
    device_class: str,
) -> None:
    day = judged_day(device_class, 1, shipped_bundle(), configured=device_class, until_s=NIGHT_S)
    assert day.judged >= MIN_EVENTS
    assert sum(day.findings.values()) <= 1, day.findings


@pytest.mark.parametrize("device_class", CLASSES)
def test_a_day_is_the_same_for_the_same_seed_only(device_class: str) -> None:
    assert beginning(device_class, 7) == beginning(device_class, 7)
    assert beginning(device_class, 7) != beginning(device_class, 8)


def test_time_never_goes_back_in_a_day() -> None:
    times = [event.at_s for event in iot_day("camera", 3)]
    assert times == sorted(times)
