"""What a firmware's steps touch on a device: the steps' teller, the floors, the baseline.

Rule: each call may come again after a cut, and leaves what it has to on the disk before it returns.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vedette.daemon import control_client, firmware_baseline
from vedette.daemon.config import Config
from vedette.daemon.step_teller import StepTeller
from vedette.errors import VedetteError
from vedette.model.firmware import FirmwareRecord, FirmwareState
from vedette.model.release import PartKind, Release, ReleaseKind
from vedette.model.update import Step
from vedette.store.slot_writer import WriteReport
from vedette.trust.tuf_floors import Floors

BASELINE_TIMEOUT_S = 120.0
"""Copying 100,000 rows aside and back takes seconds on a slow flash."""

_STEPS = {
    FirmwareState.WRITTEN: Step.WRITTEN,
    FirmwareState.TRIAL: Step.TRIAL,
    FirmwareState.COMMITTED: Step.COMMITTED,
    FirmwareState.ROLLED_BACK: Step.ROLLED_BACK,
    FirmwareState.FAILED: Step.REFUSED,
}


class FirmwareAround:
    """`daemon.installer.firmware.Surroundings` of a real device.

    Args:
        config: of this device.
        teller: takes the steps.
        floors: of its releases.
    """

    def __init__(self, config: Config, teller: StepTeller, floors: Floors) -> None:
        self._config, self._teller, self._floors = config, teller, floors
        self._folder = config.firmware_folder

    def tell(self, record: FirmwareRecord, report: WriteReport | None) -> None:
        """Record a step; the end of a window is told as the commit once more."""
        step, release = _STEPS.get(record.state), record.release
        if step is None or release is None:
            return
        facts = {"slot": record.slot}
        if record.state is FirmwareState.COMMITTED:
            facts["window_left_s"] = str(record.window_left_s)
        if report is not None and record.state is FirmwareState.WRITTEN:
            facts |= {f"{name}_bytes": str(value) for name, value in report._asdict().items()}
        self._teller.release(step, release, cause=record.cause, reason=record.reason, facts=facts)

    def raise_floor(self, name: str, counter: int) -> None:
        """Take no firmware of this name below the counter any more."""
        self._floors.raise_counter(ReleaseKind.FIRMWARE, name, counter)

    def use_manifest(self, release: Release) -> None:
        """Have the sentinel take the release's manifest, where it has one."""
        part = release.parts.get(PartKind.FILE_MANIFEST)
        if part is not None:
            self._wish(f"use {part.sha256}")

    def return_baseline(self) -> None:
        """Have the sentinel bring back the baseline before."""
        self._wish("return")

    def forget_baseline(self) -> None:
        """Have the sentinel let go of the baseline before, and of manifests that wait."""
        self._wish("forget")

    def remind(self) -> None:
        """Wake the sentinel if something that was wished is not done yet.

        Where it does not run, or cannot do it, it stays wished and the next start asks again.
        """
        if (self._folder / firmware_baseline.WISH_FILE).exists():
            with suppress(VedetteError):
                control_client.ask(
                    self._config.control_socket, "update.manifest", timeout_s=BASELINE_TIMEOUT_S
                )

    def _wish(self, words: str) -> None:
        firmware_baseline.wish(self._folder, words)
        self.remind()


def state_folder(config: Config) -> Path:
    """Where the record of the firmware is kept."""
    return config.firmware_folder / "state"
