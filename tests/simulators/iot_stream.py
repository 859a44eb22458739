"""A quiet day of a router, a camera or a gateway, as its sensors tell it: nothing bad happens.

Rule 1: written from how such devices behave, not from what our rules look for; where a benign job
looks like an attack (a firmware is flashed, a daemon shells out, a package drops a cron job), it
stays, for that is what a rule has to bear.
Rule 2: most events repeat, as devices do: about 97 % of what rules see was seen before.
Rule 3: the same class and seed give the same events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import NamedTuple

from tests.simulators import iot_camera, iot_gateway, iot_router
from tests.simulators.iot_device import DAY_S, Device

from vedette.core.agent import Agent, AgentSettings
from vedette.core.commands import Append, Command, Continue, Resolve, Wake
from vedette.core.inputs import (
    Continued,
    Input,
    Observed,
    Resolved,
    RulesLoaded,
    Seeded,
    Stopping,
    Ticked,
)
from vedette.model.event import Event, ProcessExited
from vedette.model.finding import Incident
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


def judged_day(
    device_class: str, seed: int, bundle: Bundle, *, configured: str = "", until_s: float = DAY_S
) -> Quiet:
    """What an agent with these rules says of a day, or of its beginning.

    Args:
        configured: the class in the device's configuration, by which exclusions are chosen.
    """
    agent = Agent(AgentSettings("t", "d", "0" * 32, device_class=configured))
    told = _Told(agent)
    told.give(Seeded(0.0, WALL_S, (), USERS))
    told.give(RulesLoaded(0.0, WALL_S, bundle))
    judged = 0
    for event in iot_day(device_class, seed):
        if event.at_s > until_s:
            break
        judged += not isinstance(event, ProcessExited)
        told.give(Observed(event.at_s, WALL_S + event.at_s, (event,)))
    told.give(Stopping(until_s, WALL_S + until_s))
    engine = agent.engine
    if engine is None:
        raise RuntimeError("expected an engine after RulesLoaded")
    counters = engine.counters()
    return Quiet(judged, told.findings(), counters["repeated"] / counters["in"])


class _Told:
    """Plays the shell: answers what the core asks, keeps the newest state of each incident."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._incidents: dict[str, Incident] = {}
        self._wake_s: float | None = None

    def give(self, given: Input) -> None:
        """Tell the core, at its time, with the wake-ups that it asked for before."""
        while self._wake_s is not None and self._wake_s <= given.at_s:
            wake_s, self._wake_s = self._wake_s, None
            self._take(self._agent.handle(Ticked(wake_s, WALL_S + wake_s)), wake_s)
        self._take(self._agent.handle(given), given.at_s)

    def findings(self) -> dict[str, int]:
        """How many findings there were, by title, most first."""
        counts: Counter[str] = Counter()
        for incident in self._incidents.values():
            counts[incident.finding.title] += incident.count
        return dict(counts.most_common())

    def _take(self, commands: list[Command], at_s: float) -> None:
        for command in commands:
            match command:
                case Wake():
                    self._wake_s = command.at_s
                case Append() if command.incident is not None:
                    self._incidents[command.incident.incident_id] = command.incident
                case Resolve():
                    answer = Resolved(at_s, WALL_S + at_s, command.ticket, ())
                    self._take(self._agent.handle(answer), at_s)
                case Continue():
                    self._take(self._agent.handle(Continued(at_s, WALL_S + at_s)), at_s)
                case _:
                    pass
