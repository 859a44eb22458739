"""Whether it is this device's turn for a release: now, not yet, or it must not wait any longer.

Rule 1: the order of a fleet is drawn anew for each release, from a hash of device and release: no
device is always the first to try what is new, and nobody has to keep a list.
Rule 2: a device waits for three things: the start, its turn in the fraction, and a moment at which
both the release's windows and its own are open.
Rule 3: once a release's limit is over (`defer_s`; urgent ones have one) turn and windows count
no more. A fraction of 0 does: that is how an operator halts a rollout.
Rule 4: whether a release fits the device at all is core/fitness.py's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from vedette.model.release import DAY_MINUTES, WEEKDAYS, WHOLE, Release, Rollout, Window
from vedette.model.update import Cause

_WEEK_MINUTES = WEEKDAYS * DAY_MINUTES
_ALWAYS = (1 << _WEEK_MINUTES) - 1
_EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday, and Monday is 0
_MINUTE_S = 60


class Turn(StrEnum):
    """What a device may do about a release."""

    NOW = "now"
    DEFERRED = "deferred"
    MUST = "must"
    """Now, whatever its windows and its turn say: the limit of the release is over."""


class Moment(NamedTuple):
    """What a device knows of itself and the time.

    Attributes:
        device_id: its name in the fleet, tenant included; it decides about its turn.
        now_s: Unix time, never before the newest verified issue (trust/time_floor.py).
        utc_offset_s: what the device's clock face is ahead of UTC.
        windows: its own times of maintenance; none: at any time.
    """

    device_id: str
    now_s: float
    utc_offset_s: int = 0
    windows: Sequence[Window] = ()


class Decision(NamedTuple):
    """When a release may be applied.

    Attributes:
        until_s: Unix time to ask again where it is deferred; 0 where only a new signature, or
            another configuration, can change the answer.
        cause: of the deferral: rollout or window; NONE else.
        reason: for people.
    """

    turn: Turn
    until_s: float
    cause: Cause
    reason: str


def decide(release: Release, moment: Moment) -> Decision:
    """Whether a release may be applied now.

    Args:
        release: verified, newer than what is there, and fit for this device.
        moment: of the device.
    """
    rollout, now_s = release.rollout, moment.now_s
    starts_s = rollout.starts_s or release.issued_s
    if rollout.fraction == 0 and not rollout.full_after_s:
        return Decision(Turn.DEFERRED, 0.0, Cause.ROLLOUT, "the operator holds the rollout")
    if now_s < starts_s:
        return _deferred(starts_s, Cause.ROLLOUT, "the rollout has not begun")
    limit_s = starts_s + release.defer_s if release.defer_s else None
    if limit_s is not None and now_s >= limit_s:
        return Decision(
            Turn.MUST, now_s, Cause.NONE, f"it may wait no longer than {release.defer_s} s"
        )
    found = _waiting(release, moment, starts_s)
    if found is None:
        return Decision(Turn.NOW, now_s, Cause.NONE, "it is this device's turn")
    if limit_s is not None and (not found.until_s or found.until_s > limit_s):
        return found._replace(until_s=float(limit_s))
    return found


def place(release: Release, device_id: str) -> int:
    """Where a device stands in the order of a rollout, from 0 to WHOLE - 1."""
    seed = f"vedette/v1/rollout\0{release.kind}\0{release.name}\0{release.counter}\0{device_id}"
    return int.from_bytes(hashlib.sha256(seed.encode("utf-8", "surrogateescape")).digest()) % WHOLE


def _waiting(release: Release, moment: Moment, starts_s: int) -> Decision | None:
    """What the device waits for; None for nothing."""
    turn_s = _turn(release.rollout, place(release, moment.device_id), starts_s)
    if turn_s is None:
        return Decision(Turn.DEFERRED, 0.0, Cause.ROLLOUT, "it is not in the signed fraction")
    from_s = max(moment.now_s, turn_s)
    opens_s = _next_open(release.windows, moment.windows, from_s, moment.utc_offset_s)
    if opens_s is None:
        reason = "the release's windows and this device's are never open together"
        return Decision(Turn.DEFERRED, 0.0, Cause.WINDOW, reason)
    if turn_s > moment.now_s:
        return _deferred(opens_s, Cause.ROLLOUT, "its turn in the rollout comes later")
    if opens_s > moment.now_s:
        return _deferred(opens_s, Cause.WINDOW, "no window is open")
    return None


def _deferred(until_s: float, cause: Cause, reason: str) -> Decision:
    return Decision(Turn.DEFERRED, float(until_s), cause, reason)


def _turn(rollout: Rollout, number: int, starts_s: int) -> float | None:
    """Unix time from which a place of the order may go; None: not with this signature."""
    if number < rollout.fraction:
        return float(starts_s)
    if not rollout.full_after_s:
        return None
    share = (number + 1 - rollout.fraction) / (WHOLE - rollout.fraction)
    return starts_s + rollout.full_after_s * share


def _next_open(
    first: Sequence[Window], second: Sequence[Window], from_s: float, offset_s: int
) -> float | None:
    """The first moment from a time on at which both are open; None: never.

    A week is a number with one bit for each minute, so that both are open where both bits are set.
    """
    both = _open_minutes(first) & _open_minutes(second)
    if not both:
        return None
    local_s = from_s + offset_s
    minute = int(local_s // _MINUTE_S + _EPOCH_WEEKDAY * DAY_MINUTES) % _WEEK_MINUTES
    ahead = (both >> minute) | (both << (_WEEK_MINUTES - minute))
    wait_min = (ahead & -ahead).bit_length() - 1
    if not wait_min:
        return from_s
    return (local_s // _MINUTE_S + wait_min) * _MINUTE_S - offset_s


def _open_minutes(windows: Sequence[Window]) -> int:
    if not windows:
        return _ALWAYS
    found = 0
    for window in windows:
        for day in window.days:
            opened = ((1 << window.lasts_min) - 1) << (day * DAY_MINUTES + window.opens_min)
            found |= (opened & _ALWAYS) | (opened >> _WEEK_MINUTES)
    return found
