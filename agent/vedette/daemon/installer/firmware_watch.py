"""Looks after a firmware on trial, and after a committed one that may still go back.

Rule 1: a trial is watched until the gate decides; a committed firmware as long as it is unwell:
being well it is looked at once, and again at the next run.
Rule 2: an agent that does not answer is unwell, and so is a probe that cannot be made: a firmware
that nobody can judge does not stay.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from vedette.codec.strict_json import Json
from vedette.core.health_gate import AgentHealth, GateLimits, HealthGate
from vedette.daemon import control_client
from vedette.daemon.config import Config
from vedette.daemon.installer.firmware import FirmwareInstaller, Next
from vedette.errors import VedetteError
from vedette.model.essential import Probed
from vedette.model.firmware import FirmwareState

HEALTH_TIMEOUT_S = 30.0
PROBE_TIMEOUT_S = 150.0
"""Each probe has at most 60 s, twice."""


class Look(NamedTuple):
    """What was found at one time."""

    agent: AgentHealth
    probes: tuple[Probed, ...]


def watch(
    installer: FirmwareInstaller,
    look: Callable[[], Look],
    limits: GateLimits,
    *,
    pause: Callable[[], None],
    boot_s: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
) -> Next:
    """Look until something follows from it.

    Args:
        installer: whose record says that there is something to watch.
        look: makes one look.
        limits: as configured.
        pause: waits between two looks.
        boot_s: seconds since the start of the device.

    Returns:
        RESTART after a rollback; NOTHING when it may stay; WATCH when it may still go back later.
    """
    is_committed = installer.record.state is FirmwareState.COMMITTED
    gate = HealthGate(limits, 0.0, is_committed=is_committed)
    while True:
        found = look()
        at_s = boot_s()
        installer.elapse(at_s)
        verdict = gate.look(at_s, *found)
        then = installer.judge(verdict)
        is_well = installer.record.state is FirmwareState.COMMITTED and not verdict.reason
        if then is not Next.WATCH or is_well:
            return then
        pause()


def look_at_device(config: Config) -> Look:
    """Ask the sentinel how it is, and what the probes find."""
    return Look(_agent(config), _probes(config))


def _agent(config: Config) -> AgentHealth:
    try:
        answer = control_client.ask(
            config.control_socket, "update.health", timeout_s=HEALTH_TIMEOUT_S
        )
    except VedetteError as error:
        return AgentHealth(reasons=(f"the agent: {error}",))
    critical = _rows(answer.get("critical"))
    told = {f"critical incident {row.get('id')}: {row.get('title')}" for row in critical}
    reasons = answer.get("reasons")
    words = [str(one) for one in reasons] if isinstance(reasons, list) else ["no answer"]
    return AgentHealth(tuple(one for one in words if one not in told), len(critical))


def _probes(config: Config) -> tuple[Probed, ...]:
    if not config.essential.functions and not config.firmware.health:
        return ()
    try:
        answer = control_client.ask(
            config.control_socket, "update.probe", timeout_s=PROBE_TIMEOUT_S
        )
    except VedetteError as error:
        return (Probed("probes", False, str(error), ()),)
    return tuple(
        Probed(str(row.get("name")), row.get("up") is True, str(row.get("detail")), ())
        for row in _rows(answer.get("probes"))
    )


def _rows(found: Json) -> list[dict[str, Json]]:
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
