"""A quiet day of a router, a camera or a gateway, as its sensors tell it: nothing bad happens in it.

Rule 1: written from how such devices behave, not from what our rules look for; where a benign job
looks like an attack (a firmware is flashed, a daemon shells out, a package drops a cron job), it
stays, for that is what a rule has to bear.
Rule 2: most events repeat, as devices do: about 97 % of what rules see was seen before.
Rule 3: the same class and seed give the same events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import NamedTuple

from tests.simulators import iot_camera, iot_gateway, iot_router
from tests.simulators.iot_device import DAY_S, Device

from vedette.core.agent import Agent, AgentSettings
from vedette.core.inputs import Observed, RulesLoaded, Seeded
from vedette.model.event import Event, ProcessExited
from vedette.model.rule import Bundle

CLASSES: Mapping[str, ModuleType] = {
    "router": iot_router,
    "camera": iot_camera,
    "gateway": iot_gateway,
}
USERS = {0: "root", 42: "_apt", 81: "ubus", 108: "_chrony", 109: "mosquitto", 123: "ntp",
         453: "dnsmasq", 514: "logd", 1000: "joe", 1001: "gateway"}  # fmt: skip
WALL_S = 1_795_240_000.0
"""Any date after the first release: 2026-11-21."""


def iot_day(device_class: str, seed: int) -> Iterator[Event]:
    """One day from boot to midnight, in order; some 45,000 to 75,000 events."""
    kind = CLASSES[device_class]
    device = Device(seed, kind.PROGRAMS, kind.APPLETS)
    return device.day(kind.boot, kind.TASKS)


class Quiet(NamedTuple):
    """What rules made of a day.

    Attributes:
        judged: events that rules were asked about; ends of processes are not among them.
        findings: how often each rule was met, by its title.
        repeated: the part of the judged events that the engine had seen before.
    """

    judged: int
    findings: Mapping[str, int]
    repeated: float

    @property
    def per_10_000(self) -> float:
        """Findings in 10,000 events."""
        return sum(self.findings.values()) / self.judged * 10_000
