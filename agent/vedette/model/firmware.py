"""A firmware on its way from an offer to a commit or a rollback."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from vedette.model.release import Release
from vedette.model.update import Cause


class FirmwareState(StrEnum):
    """Where a firmware stands; core/firmware_states.py has the ways between them."""

    IDLE = "idle"
    """Nothing was ever offered."""
    OFFERED = "offered"
    """Verified metadata names it; nothing is written yet."""
    WRITING = "writing"
    """The inactive slot holds any part of it, or any mixture."""
    WRITTEN = "written"
    """The slot was read back and is the signed image."""
    ARMED = "armed"
    """The boot loader is to try the slot at the next start."""
    TRIAL = "trial"
    """It runs and is not committed."""
    COMMITTED = "committed"
    """It is what this device starts from now on."""
    ROLLED_BACK = "rolled_back"
    """The firmware before it is what this device starts again."""
    FAILED = "failed"
    """It never came to run."""


class BootPlan(NamedTuple):
    """What the boot loader will do.

    Attributes:
        committed: the slot it starts when nothing is on trial.
        trial: the slot it tries at the next start, "" for none.
        tries_left: how often it will start the trial before it falls back; 0 without a trial.
    """

    committed: str
    trial: str = ""
    tries_left: int = 0


class Running(NamedTuple):
    """The firmware that was committed last.

    Attributes:
        name: of the release; "" for the one the device was made with.
        counter: its release counter; 0 for the one the device was made with.
    """

    name: str = ""
    version: str = ""
    counter: int = 0


AS_MADE = Running()
"""What a device has before its first release."""


@dataclass(frozen=True, slots=True)
class FirmwareRecord:
    """What must survive a power cut at any point.

    Attributes:
        state: where it stands.
        is_done: the step that belongs to the state was carried out, to its end.
        release: the one it is about; None only while idle.
        slot: where it is written.
        before_slot: the slot that ran when it was offered, and that a rollback returns to.
        before: the firmware in that slot.
        running: the firmware that is committed.
        boot_id: the boot in which the state was reached (proc(5), random/boot_id).
        marked_bytes: without a block index: up to where the slot holds the image, synced.
        window_left_s: seconds of running time in which a rollback is still allowed.
        failed_sha256: image of the release that was rolled back last; it is not taken again.
        cause: why it failed or was rolled back.
        reason: the same for people, "" else.
        counted_s: until when (CLOCK_BOOTTIME of `boot_id`) the window was counted down.
    """

    state: FirmwareState = FirmwareState.IDLE
    is_done: bool = True
    release: Release | None = None
    slot: str = ""
    before_slot: str = ""
    before: Running = AS_MADE
    running: Running = AS_MADE
    boot_id: str = ""
    marked_bytes: int = 0
    window_left_s: int = 0
    failed_sha256: str = ""
    cause: Cause = Cause.NONE
    reason: str = ""
    counted_s: int = 0
