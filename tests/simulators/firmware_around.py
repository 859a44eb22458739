"""What a firmware's steps touch, in memory."""

from __future__ import annotations

from vedette.errors import StoreError
from vedette.model.firmware import FirmwareRecord, FirmwareState
from vedette.model.release import Release
from vedette.store.slot_writer import WriteReport


class MemoryAround:
    """Counts and keeps what it is told.

    Attributes:
        told: the state of each step, in order.
        floor: as it was raised, never lower.
        baseline: counter of the release whose manifest is the baseline, 0 for the first.
        kept: the baseline before, None where none is kept.
        cannot_tell: while set, `tell` raises.
    """

    def __init__(self) -> None:
        self.told: list[FirmwareState] = []
        self.reasons: list[str] = []
        self.report: WriteReport | None = None
        self.floor = 0
        self.baseline = 0
        self.kept: int | None = None
        self.cannot_tell = False

    def tell(self, record: FirmwareRecord, report: WriteReport | None) -> None:
        if self.cannot_tell:
            raise StoreError("the step cannot be kept (simulated)")
        self.told.append(record.state)
        self.reasons.append(record.reason)
        self.report = report or self.report

    def raise_floor(self, name: str, counter: int) -> None:
        assert name in {"cam", ""}
        self.floor = max(self.floor, counter)

    def use_manifest(self, release: Release) -> None:
        if self.baseline != release.counter:
            self.baseline, self.kept = release.counter, self.baseline

    def return_baseline(self) -> None:
        if self.kept is not None:
            self.baseline, self.kept = self.kept, None

    def forget_baseline(self) -> None:
        self.kept = None
