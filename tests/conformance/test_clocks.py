"""Clocks that are right, wrong, or in 1970."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from tests.conformance._bends import expired, issued
from tests.conformance._device import Device
from tests.simulators.tuf_repository import ALL, Repository, in_days


def test_the_expired_copy_of_yesterday_does_not_stop_todays_refresh(
    device: Device, repository: Repository, shifted: Callable[[float], dict[str, str]]
) -> None:
    repository.timestamp.expires = in_days(7)
    repository.publish("timestamp")
    assert device.refresh() == (0, "")
    repository.timestamp.expires = in_days(21)
    repository.publish(*ALL)
    device.environment = shifted(18)
    assert device.refresh() == (0, "")
    assert device.versions()["timestamp"] == 3


def test_a_later_clock_sees_what_has_expired(
    device: Device, repository: Repository, shifted: Callable[[float], dict[str, str]]
) -> None:
    repository.root.expires = in_days(7)
    repository.publish("root")
    assert device.refresh() == (0, "")
    device.environment = shifted(8)
    ended = device.refresh()
    assert ended.code == 1
    assert "freeze" in ended.words


def test_neither_a_wrong_clock_nor_a_run_under_it_raises_the_floor(
    device: Device, repository: Repository, shifted: Callable[[float], dict[str, str]]
) -> None:
    assert device.refresh() == (0, "")
    device.environment = shifted(365 * 20)
    assert device.refresh().code == 1
    device.environment = shifted(0)
    assert device.refresh() == (0, "")


def test_a_clock_of_1970_does_not_bring_back_what_has_expired_before_the_last_issue(
    device: Device, repository: Repository, shifted: Callable[[float], dict[str, str]]
) -> None:
    issued(0)(repository, device)
    assert device.refresh() == (0, "")
    expired("snapshot")(repository, device)
    device.environment = shifted(-timedelta(days=56 * 365).total_seconds() / 86400)
    ended = device.refresh()
    assert ended.code == 1
    assert "freeze" in ended.words
