"""What the sentinel has to do with updates: it asks for them, at random times or for an operator.

Rule: what asks (daemon/update_schedule.py) is loaded on devices that take releases alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vedette.daemon.config import Config

if TYPE_CHECKING:
    from vedette.daemon.update_schedule import UpdateSchedule


class Updating:
    """Asks.

    Args:
        config: of this device; [updates] changes by a restart alone.
        report: takes a finding about the agent itself (daemon/shell.py: Shell.report).
        wake: wakes whoever keeps the agent; False where nobody listens.
    """

    def __init__(
        self, config: Config, report: Callable[..., None], wake: Callable[[], bool]
    ) -> None:
        self._config, self._report, self._wake = config, report, wake
        self._schedule: UpdateSchedule | None = None

    async def run(self) -> None:
        """Ask at the start and then at random times until cancelled, where releases are taken."""
        if self._config.updates.enabled:
            await self._scheduled().run()

    async def ask(self, by: str, rollback: str) -> str:
        """Ask for an update, or to go back with a kind of releases.

        Returns:
            Why it will not be done, or "".
        """
        if not self._config.updates.enabled:
            return "this device is configured to take no releases ([updates])"
        return await self._scheduled().ask(by, rollback=rollback)

    def _scheduled(self) -> UpdateSchedule:
        if self._schedule is None:
            from vedette.daemon.update_schedule import UpdateSchedule  # noqa: PLC0415 (opt-in)

            self._schedule = UpdateSchedule(self._config, self._report, self._wake)
        return self._schedule
