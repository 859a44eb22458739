"""A whole day of devices on which nothing bad happens, through the whole core, with our rules."""

from __future__ import annotations

import pytest
from tests.simulators.iot_stream import CLASSES, judged_day
from tests.simulators.shipped import shipped_bundle

MIN_EVENTS = 50_000
MAX_PER_10_000 = 1.0


@pytest.mark.parametrize("device_class", CLASSES)
def test_a_day_without_attacks_gives_at_most_one_finding_in_10_000_events(
    device_class: str,
) -> None:
    bundle = shipped_bundle()
    day = judged_day(device_class, 1, bundle, configured=device_class)
    assert day.judged >= MIN_EVENTS
    assert day.per_10_000 <= MAX_PER_10_000, day.findings
    assert 0.95 <= day.repeated <= 0.99
