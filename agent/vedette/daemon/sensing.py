"""The sentinel's sources: the ladder of this configuration, opened, proven, changed with it.

Rule: a file that changed while no source was open is found by a scan right after they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vedette.daemon import assembly
from vedette.daemon.ladder import Ladder
from vedette.model.tier import TierReport
from vedette.ports.sensor import Sensor
from vedette.sensors.listeners import ListenersSensor
from vedette.sensors.scan import ScanSensor

if TYPE_CHECKING:
    from vedette.daemon.parts import Parts


class Sensing:
    """Opens and closes.

    Args:
        parts: hear what the sources tell.

    Attributes:
        ladder: of the configuration of now.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.ladder = self._of_now()

    def reports(self) -> Sequence[TierReport]:
        """What watches each class of events now."""
        return self.ladder.reports()

    async def open(self) -> None:
        """Open the sources and let them prove themselves."""
        parts = self._parts
        parts.shell.observe(await self.ladder.climb())
        parts.profiles.tell_standing()
        parts.scanning.request("the sources are open", is_urgent=True)

    async def change(self) -> None:
        """Close the sources, and open those of the configuration of now."""
        await self.close()
        self.ladder = self._of_now()
        await self.ladder.guard(self._parts.watching.own_pids)
        await self.open()

    async def close(self) -> None:
        """Leave the kernel as it was found, and tell what could not be left so."""
        self._parts.own.left(await self.ladder.close())

    def _of_now(self) -> Ladder:
        parts = self._parts
        return assembly.ladder(parts.config, parts.shell.observe, parts.baseline, self._opened)

    def _opened(self, sensor: Sensor) -> None:
        """The scan learns who changed a file, and hears when events about files were lost."""
        if isinstance(sensor, ListenersSensor):
            self._parts.profiles.listeners = sensor
        if isinstance(sensor, ScanSensor):
            self._parts.scanning.opened(sensor)
