"""A whole day of devices on which nothing bad happens, through the whole core, with our rules."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from tests.simulators.iot_stream import CLASSES, iot_day, judged_day

from vedette.cli._rule_folder import collect
from vedette.model.event import Event
from vedette.model.rule import Bundle

RULES = Path(__file__).parents[2] / "rules"
MIN_EVENTS = 50_000
MAX_PER_10_000 = 1.0


@cache
def bundle() -> Bundle:
    return collect([RULES]).bundle("shipped", 1, 0, 0)


def beginning(device_class: str, seed: int) -> list[Event]:
    stream = iot_day(device_class, seed)
    return [next(stream) for _ in range(2000)]


@pytest.mark.parametrize("device_class", CLASSES)
def test_a_day_without_attacks_gives_at_most_one_finding_in_10_000_events(
    device_class: str,
) -> None:
    day = judged_day(device_class, 1, bundle(), configured=device_class)
    assert day.judged >= MIN_EVENTS
    assert day.per_10_000 <= MAX_PER_10_000, day.findings
    assert 0.95 <= day.repeated <= 0.99


@pytest.mark.parametrize("device_class", CLASSES)
def test_a_day_is_the_same_for_the_same_seed_only(device_class: str) -> None:
    assert beginning(device_class, 7) == beginning(device_class, 7)
    assert beginning(device_class, 7) != beginning(device_class, 8)


def test_time_never_goes_back_in_a_day() -> None:
    times = [event.at_s for event in iot_day("camera", 3)]
    assert times == sorted(times)
