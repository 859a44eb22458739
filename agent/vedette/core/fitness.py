"""Whether a release fits a device: its hardware, its agent, and what has to be there before.

Rule: what does not fit is no error of the release: it is for others, or comes too early.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vedette.model.release import Need, Release, ReleaseKind
from vedette.model.update import Cause


class Device(NamedTuple):
    """What a release is held against.

    Attributes:
        hardware_id: as the device's configuration has it; "" fits no release that names hardware.
        agent: the version of Vedette here, such as "0.2.1".
        counters: of what is committed here, by kind and name.
    """

    hardware_id: str
    agent: str
    counters: Mapping[tuple[ReleaseKind, str], int]


class Misfit(NamedTuple):
    """Why a release is not for this device, or not yet.

    Attributes:
        cause: hardware: never; needs: once that is there.
        reason: for people.
    """

    cause: Cause
    reason: str


def misfit(release: Release, device: Device) -> Misfit | None:
    """The first reason why a release does not fit; None if it does."""
    if release.hardware_ids and device.hardware_id not in release.hardware_ids:
        here = device.hardware_id or "none"
        return Misfit(
            Cause.HARDWARE,
            f"expected hardware {', '.join(release.hardware_ids)}, this device is {here}",
        )
    if release.agent and _numbers(device.agent) < _numbers(release.agent):
        return Misfit(Cause.NEEDS, f"it needs Vedette {release.agent}, this is {device.agent}")
    for need in release.needs:
        found = device.counters.get((need.kind, need.name), 0)
        if found < need.counter:
            return Misfit(Cause.NEEDS, _words(need, found))
    return None


def _words(need: Need, found: int) -> str:
    here = f"counter {found}" if found else "none"
    return f"it needs {need.kind} {need.name} with counter {need.counter} or later, here is {here}"


def _numbers(version: str) -> tuple[int, ...]:
    """A dotted version for comparison; what follows the first part that is no number is left out.

    0.2 and 0.2.0 are the same.
    """
    found: list[int] = []
    for part in version.split("."):
        if not (part.isascii() and part.isdecimal()):
            break
        found.append(int(part))
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)
