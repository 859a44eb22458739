"""What the sentinel has to do with scans: asks for them, follows what they make of the baseline.

Rule: whatever stands on the baseline (checkpoints, good copies, the holder's lists) is told when it
has changed.
"""

from __future__ import annotations

from collections.abc import Callable

from vedette.codec import ocsf
from vedette.daemon.good_copies import Upkeep
from vedette.daemon.shell import Shell
from vedette.sensors.scan import ScanReport, ScanSensor


class Scanning:
    """The scan, once there is one.

    Args:
        shell: leads to the journal.
        copying: keeps good copies beside the baseline.
        on_changed: told when the baseline is another one.

    Attributes:
        sensor: None before the sources were opened, or where scans are disabled.
    """

    def __init__(self, shell: Shell, copying: Upkeep, on_changed: Callable[[], None]) -> None:
        self._shell, self._copying, self._on_changed = shell, copying, on_changed
        self.sensor: ScanSensor | None = None

    @property
    def is_running(self) -> bool:
        """Whether a scan is being made."""
        return self.sensor is not None and self.sensor.is_scanning

    def opened(self, sensor: ScanSensor) -> None:
        """Take it into use: it learns who changed a file, and what it found is followed."""
        self.sensor = sensor
        sensor.who = self._shell.agent.hints.who
        sensor.on_scanned = self._scanned

    def request(self, reason: str, *, is_urgent: bool = False) -> None:
        """Have all trees looked through, soon or now."""
        if self.sensor is not None:
            self.sensor.request(reason, is_urgent=is_urgent)

    def changed(self) -> None:
        """The baseline is another one."""
        self._copying.begin()
        self._on_changed()

    def _scanned(self, report: ScanReport) -> None:
        outcome = report.outcome
        if outcome.is_first:
            self.changed()
            body = {"trusted_on_first_use": outcome.counts.files}
            self._shell.note("baseline", ocsf.canonical(body))
        elif not outcome.failure:
            self._copying.begin()  # a copy that the disk lost is made again
