"""What a release needs of a device."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vedette.core.fitness import Device, misfit
from vedette.model.release import Need, Release, ReleaseKind, TargetFile
from vedette.model.update import Cause

RELEASE = Release(
    ReleaseKind.FIRMWARE, "cam", "9", 9, 1, TargetFile("firmware/cam/x", 5, "0a" * 32),
    hardware_ids=("cam-2", "cam-3"),
)  # fmt: skip
DEVICE = Device("cam-2", "0.2.1", {(ReleaseKind.RULES, "main"): 3})


def test_what_fits_fits() -> None:
    assert misfit(RELEASE, DEVICE) is None
    assert misfit(replace(RELEASE, hardware_ids=()), DEVICE._replace(hardware_id="")) is None


@pytest.mark.parametrize("hardware_id", ["cam-1", "CAM-2", "cam", "", "cam-2,cam-3"])
def test_firmware_of_other_hardware_never_fits(hardware_id: str) -> None:
    found = misfit(RELEASE, DEVICE._replace(hardware_id=hardware_id))
    assert found is not None
    assert found.cause is Cause.HARDWARE
    assert "cam-2, cam-3" in found.reason


@pytest.mark.parametrize(
    ("agent", "fits"),
    [
        ("0.2", True), ("0.2.0", True), ("0.2.1", True), ("0.2.1.0", True), ("0.1.9", True),
        ("0.2.2", False), ("0.3", False), ("1", False), ("0.10", False), ("0.2.1.1", False),
    ],
)  # fmt: skip
def test_the_version_of_the_agent_is_compared_by_numbers(agent: str, fits: bool) -> None:  # noqa: FBT001
    assert (misfit(replace(RELEASE, agent=agent), DEVICE) is None) == fits


@pytest.mark.parametrize("agent", ["", "dev", "0.2.1+local", "0.2.1rc1", "\u0663"])
def test_a_version_that_is_no_number_counts_as_far_as_it_is_one(agent: str) -> None:
    found = misfit(replace(RELEASE, agent="0.2.1"), DEVICE._replace(agent=agent))
    assert found is not None
    assert found.cause is Cause.NEEDS


def test_what_is_needed_has_to_be_there_first() -> None:
    def needing(counter: int, name: str = "main") -> Release:
        return replace(RELEASE, needs=(Need(ReleaseKind.RULES, name, counter),))

    assert misfit(needing(3), DEVICE) is None
    older = misfit(needing(4), DEVICE)
    assert older is not None
    assert "here is counter 3" in older.reason
    missing = misfit(needing(1, "other"), DEVICE)
    assert missing is not None
    assert missing.cause is Cause.NEEDS
    assert "here is none" in missing.reason
