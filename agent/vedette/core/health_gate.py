"""Whether a firmware on trial may stay, and whether a committed one still may.

Rule 1: it stays when everything holds without a break for `settle_s`; what is down early may come
up until `trial_s` is over, since services need time to start.
Rule 2: a new critical incident sends it back at once: an attack on the new firmware, or a defect
that looks like one, does not become better by waiting.
Rule 3: a committed firmware, in the window in which it may still be rolled back, goes back when it
is unwell for `late_s` without a break. Critical incidents do not count then: whoever can cause one
must not be able to choose the older firmware for days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from vedette.model.essential import Probed


@dataclass(frozen=True, slots=True)
class AgentHealth:
    """What the agent says of itself.

    Attributes:
        reasons: what does not hold: a class of events that nobody watches any more, no rules, an
            uplink that is away without an explanation, or that the agent does not answer.
        critical_incidents: opened since this boot, but for those of drills.
    """

    reasons: tuple[str, ...] = ()
    critical_incidents: int = 0


class GateLimits(NamedTuple):
    """How long things may take, in seconds."""

    settle_s: float = 60.0
    trial_s: float = 600.0
    late_s: float = 300.0
    """A committed firmware goes back, within its window, when it is unwell for so long."""


class GateAnswer(StrEnum):
    """What follows from one look."""

    WAIT = "wait"
    PASS = "pass"  # noqa: S105 - no secret
    REJECT = "reject"


class GateVerdict(NamedTuple):
    """One look at the device; `reason` names everything that does not hold."""

    answer: GateAnswer
    reason: str


class HealthGate:
    """The looks of one boot; times are of one clock that never goes back.

    Args:
        limits: as configured.
        started_s: when the trial began: the start of the device.
        is_committed: it watches a committed firmware in its window, not one on trial.
    """

    def __init__(self, limits: GateLimits, started_s: float, *, is_committed: bool) -> None:
        self._limits, self._started_s, self._is_committed = limits, started_s, is_committed
        self._well_since_s: float | None = None
        self._unwell_since_s: float | None = None

    def look(self, at_s: float, agent: AgentHealth, probes: Sequence[Probed]) -> GateVerdict:
        """Judge what was found.

        Args:
            at_s: when.
            probes: one for each that is declared.
        """
        if agent.critical_incidents and not self._is_committed:
            count = agent.critical_incidents
            return GateVerdict(GateAnswer.REJECT, f"{count} new critical incident(s)")
        wrong = _wrong(agent, probes)
        if wrong:
            self._well_since_s = None
            if self._unwell_since_s is None:
                self._unwell_since_s = at_s
            return self._unwell(at_s, self._unwell_since_s, "; ".join(wrong))
        self._unwell_since_s = None
        if self._well_since_s is None:
            self._well_since_s = at_s
        if not self._is_committed and at_s - self._well_since_s >= self._limits.settle_s:
            return GateVerdict(GateAnswer.PASS, "")
        return GateVerdict(GateAnswer.WAIT, "")

    def _unwell(self, at_s: float, unwell_since_s: float, reason: str) -> GateVerdict:
        if self._is_committed:
            began_s, limit_s = unwell_since_s, self._limits.late_s
        else:
            began_s, limit_s = self._started_s, self._limits.trial_s
        if at_s - began_s < limit_s:
            return GateVerdict(GateAnswer.WAIT, reason)
        return GateVerdict(GateAnswer.REJECT, f"after {limit_s:g} s: {reason}")


def _wrong(agent: AgentHealth, probes: Sequence[Probed]) -> list[str]:
    wrong = [f"{one.name}: {one.detail}" for one in probes if not one.is_up]
    return [*wrong, *agent.reasons]
