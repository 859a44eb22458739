"""When this device looks for releases: at random times, and it only asks somebody else to look.

Rule 1: full jitter (core/jitter.py): a fleet that lost its server at one moment does not come back
as one wave. Looks that fail one after another come at ever longer pauses.
Rule 2: at each start what a reboot left open is finished first: a trial is judged, or given back.
Rule 3: a request that nobody takes is told once: then updates wait for a person.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Final

from vedette.core.jitter import next_check_s
from vedette.daemon.config import Config
from vedette.model.finding import Severity

TAKEN_S: Final = 60.0
"""Whoever keeps the agent was woken, and takes a request within milliseconds."""
TRIES: Final = 60
"""Looks at a request until it is given up."""
_MINUTE_S: Final = 60.0
_DRAWN: Final = 1 << 32


class UpdateSchedule:
    """Asks for updates.

    Args:
        config: of this device.
        report: takes a finding about the agent itself (daemon/shell.py: Shell.report).
        wake: wakes whoever keeps the agent; False where nobody listens.
        taken_s: how long a request may lie.
        sleep: waits until the next look.
    """

    def __init__(
        self,
        config: Config,
        report: Callable[..., None],
        wake: Callable[[], bool],
        *,
        taken_s: float = TAKEN_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._config, self._report, self._wake = config, report, wake
        self._taken_s, self._sleep = taken_s, sleep
        self._is_told = False

    async def run(self) -> None:
        """Ask at the start and then at random times, until cancelled."""
        updates = self._config.updates
        if not updates.enabled:
            return
        await self.ask("boot")
        interval_s = updates.every_m * _MINUTE_S
        before: int | None = None
        failures = 0
        while interval_s:
            chance = _chance()
            usual_s = next_check_s(interval_s, 0, chance)
            await self._sleep(usual_s)
            failures = failures + 1 if before == self._reached_ns() else 0
            await self._sleep(next_check_s(interval_s, failures, chance) - usual_s)
            before = self._reached_ns()
            await self.ask("schedule")

    async def ask(self, by: str, *, rollback: str = "") -> str:
        """Ask for an update, or to go back with a kind of releases.

        Returns:
            Why it will not be done, or "".
        """
        from vedette.daemon import update_request  # noqa: PLC0415 (rare: not resident)

        path = self._config.update_request
        if not self._config.updates.enabled:
            return "this device is configured to take no releases ([updates])"
        is_now = not rollback and by.startswith("operator:")
        try:
            update_request.write(path, update_request.UpdateRequest(by, is_now, rollback))
        except OSError as error:
            return f"{path}: cannot be written: {error.strerror}"
        self._wake()
        for _ in range(TRIES):
            await asyncio.sleep(self._taken_s / TRIES)
            if not path.exists():
                return ""
        self._tell_untaken()
        return "whoever keeps the agent did not take the request"

    def _reached_ns(self) -> int:
        """When an update went as it should last, 0 where none did since the reboot."""
        try:
            return self._config.update_reached.stat().st_mtime_ns
        except OSError:
            return 0

    def _tell_untaken(self) -> None:
        if self._is_told:
            return
        self._is_told = True
        words = (
            f"{self._config.update_request} lies untaken: start the agent by `vedette run`, or "
            "have a path unit start `vedette update run --by-request`"
        )
        title = "Nobody starts the updates that this device asks for"
        self._report("update-not-started", title, Severity.MEDIUM, {"Reason": words})


def _chance() -> float:
    """Evenly from [0, 1); not `random`, which the sentinel has no other use for."""
    return int.from_bytes(os.urandom(4)) / _DRAWN
