"""Whose turn it is: starts, fractions, windows and limits, by the minute."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.core.rollout import Decision, Moment, Turn, decide, place
from vedette.model.release import (
    WHOLE,
    Release,
    ReleaseKind,
    Rollout,
    TargetFile,
    Urgency,
    Window,
)
from vedette.model.update import Cause

DAY_S = 86_400
NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC).timestamp()  # a Wednesday
NIGHT = Window((0, 1, 2, 3, 4, 5, 6), 2 * 60, 120)
RELEASE = Release(
    ReleaseKind.RULES, "main", "9", 9, int(NOON), TargetFile("rules/main/x", 5, "0a" * 32)
)


def at(now_s: float, *windows: Window, offset_s: int = 0, device: str = "acme/cam-1") -> Moment:
    return Moment(device, now_s, offset_s, windows)


def release(
    *windows: Window, starts_s: int = 0, fraction: int = WHOLE, full_after_s: int = 0,
    defer_s: int = 0,
) -> Release:  # fmt: skip
    return replace(
        RELEASE,
        windows=windows,
        rollout=Rollout(starts_s, fraction, full_after_s),
        defer_s=defer_s,
        urgency=Urgency.URGENT if defer_s else Urgency.ROUTINE,
    )


def when(decision: Decision) -> str:
    moment = datetime.fromtimestamp(decision.until_s, tz=UTC)
    return f"{decision.turn} {decision.cause} {moment:%a %H:%M}"


def test_a_release_for_all_is_taken_at_once() -> None:
    assert decide(release(), at(NOON)).turn is Turn.NOW


def test_nothing_is_taken_before_the_start() -> None:
    found = decide(release(starts_s=int(NOON) + 60), at(NOON))
    assert when(found) == "deferred rollout Wed 12:01"
    assert decide(release(starts_s=int(NOON)), at(NOON)).turn is Turn.NOW


def test_a_halted_rollout_halts_urgent_releases_too() -> None:
    for now_s in (NOON, NOON + 999 * DAY_S):
        found = decide(release(fraction=0, defer_s=60), at(now_s))
        assert (found.turn, found.until_s, found.cause) == (Turn.DEFERRED, 0.0, Cause.ROLLOUT)


def test_a_fraction_of_the_fleet_goes_first() -> None:
    part = release(fraction=WHOLE // 10)
    turns = [decide(part, at(NOON, device=f"acme/cam-{i}")) for i in range(2000)]
    now = sum(one.turn is Turn.NOW for one in turns)
    assert 150 < now < 250
    waiting = {one for one in turns if one.turn is not Turn.NOW}
    assert {(one.turn, one.until_s) for one in waiting} == {(Turn.DEFERRED, 0.0)}


def test_another_release_draws_another_order() -> None:
    devices = [f"acme/cam-{i}" for i in range(400)]
    other = replace(RELEASE, counter=10)
    first = {one for one in devices if place(RELEASE, one) < WHOLE // 4}
    second = {one for one in devices if place(other, one) < WHOLE // 4}
    assert len(first & second) < len(first) / 2


def test_the_order_is_the_same_on_every_device_and_in_every_release_of_ours() -> None:
    # The published order of a rollout: an edition with another one would start fleets anew.
    assert place(RELEASE, "acme/cam-1") == 555  # by sha256sum(1)


@given(st.integers(0, WHOLE - 1), st.integers(1, 30 * DAY_S), st.text(max_size=8))
def test_a_growing_fraction_reaches_each_device_once_and_all_in_the_end(
    fraction: int, ramp_s: int, device: str
) -> None:
    growing = release(fraction=fraction, full_after_s=ramp_s)
    found = decide(growing, at(NOON, device=device))
    if found.turn is Turn.NOW:
        assert place(growing, device) < fraction
        return
    assert NOON < found.until_s <= NOON + ramp_s
    assert decide(growing, at(found.until_s, device=device)).turn is Turn.NOW
    assert decide(growing, at(NOON + ramp_s, device=device)).turn is Turn.NOW


WINDOWS = {
    "the release's window opens tonight": ((NIGHT,), (), 0, "deferred window Thu 02:00"),
    "the device's window opens tonight": ((), (NIGHT,), 0, "deferred window Thu 02:00"),
    "both have to be open": (
        (NIGHT,), (Window((6,), 3 * 60, 30),), 0, "deferred window Sun 03:00",
    ),
    "on the device's clock face": ((NIGHT,), (), 3600, "deferred window Thu 01:00"),
    "west of Greenwich": ((NIGHT,), (), -5 * 3600, "deferred window Thu 07:00"),
    "one that is open": ((Window((2,), 12 * 60, 1),), (), 0, "now  Wed 12:00"),
    "one that closed this minute": (
        (Window((2,), 11 * 60 + 59, 1),), (), 0, "deferred window Wed 11:59",
    ),
    "one over midnight": ((Window((2,), 23 * 60, 180),), (Window((3,), 60, 60),), 0,
                          "deferred window Thu 01:00"),
    "one from Sunday into Monday": ((Window((6,), 23 * 60, 180),), (Window((0,), 60, 60),), 0,
                                    "deferred window Mon 01:00"),
    "all day, every day": ((Window((0, 1, 2, 3, 4, 5, 6), 0, 1440),), (), 0, "now  Wed 12:00"),
}  # fmt: skip


@pytest.mark.parametrize(("of_release", "of_device", "offset_s", "wanted"), WINDOWS.values(),
                         ids=WINDOWS.keys())  # fmt: skip
def test_windows(
    of_release: tuple[Window, ...], of_device: tuple[Window, ...], offset_s: int, wanted: str
) -> None:
    assert when(decide(release(*of_release), at(NOON, *of_device, offset_s=offset_s))) == wanted


def test_windows_that_are_never_open_together_are_said_so() -> None:
    found = decide(release(NIGHT), at(NOON, Window((0,), 12 * 60, 60)))
    assert (found.turn, found.until_s, found.cause) == (Turn.DEFERRED, 0.0, Cause.WINDOW)


def test_what_waits_for_a_turn_goes_in_the_next_window_after_it() -> None:
    growing = release(NIGHT, fraction=0, full_after_s=7 * DAY_S)
    found = decide(growing, at(NOON))
    turn_s = NOON + 7 * DAY_S * (place(growing, "acme/cam-1") + 1) / WHOLE
    assert found.cause is Cause.ROLLOUT
    assert turn_s <= found.until_s <= turn_s + DAY_S
    assert decide(growing, at(found.until_s)).turn is Turn.NOW


@pytest.mark.parametrize(
    ("of_device", "fraction"), [((NIGHT,), WHOLE), ((Window((0,), 0, 1),), 1), ((), 1)], ids=str
)
def test_an_urgent_release_waits_to_its_limit_and_no_longer(
    of_device: tuple[Window, ...], fraction: int
) -> None:
    urgent = release(fraction=fraction, defer_s=3600)
    before = decide(urgent, at(NOON, *of_device))
    assert (before.turn, before.until_s) == (Turn.DEFERRED, NOON + 3600)
    assert decide(urgent, at(NOON + 3599, *of_device)).turn is Turn.DEFERRED
    assert decide(urgent, at(NOON + 3600, *of_device)).turn is Turn.MUST


def test_a_window_before_the_limit_is_taken() -> None:
    urgent = release(defer_s=2 * DAY_S)
    assert when(decide(urgent, at(NOON, NIGHT))) == "deferred window Thu 02:00"


def test_a_clock_of_1970_takes_what_needs_no_time_and_a_clock_of_2038_does_not_fall_over() -> None:
    early = replace(release(), issued_s=1, rollout=Rollout())
    assert decide(early, at(60.0)).turn is Turn.NOW
    assert decide(release(NIGHT), at(2.0**31 + 0.5)).until_s > 2**31


_WINDOW = st.builds(
    Window,
    st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    st.integers(0, 1439),
    st.integers(1, 1440),
)


@given(
    st.lists(_WINDOW, max_size=3), st.lists(_WINDOW, max_size=3),
    st.integers(0, 7 * DAY_S), st.integers(-12 * 3600, 14 * 3600),
)  # fmt: skip
def test_a_device_that_waits_as_long_as_it_was_told_may_go(
    first: list[Window], second: list[Window], ahead_s: int, offset_s: int
) -> None:
    found = decide(release(*first), at(NOON + ahead_s, *second, offset_s=offset_s))
    if found.turn is Turn.NOW or not found.until_s:
        return
    assert NOON + ahead_s < found.until_s <= NOON + ahead_s + 7 * DAY_S
    later = decide(release(*first), at(found.until_s, *second, offset_s=offset_s))
    assert later.turn is Turn.NOW
