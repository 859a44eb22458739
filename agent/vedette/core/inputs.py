"""What the core is told: everything that happened, with its time, as a closed union.

Rule 1: an input holds all that the core needs to decide; a recorded stream of inputs replays to the
same findings bit for bit.
Rule 2: `at_s` is CLOCK_BOOTTIME and only grows; `wall_s` is for people and may jump either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from vedette.model.event import Event, ListenerOpened, ProcessStarted
from vedette.model.finding import Severity
from vedette.model.profile import Learnt, Profile
from vedette.model.rule import Bundle


class Seeded(NamedTuple):
    """The processes and users there were when the agent began; rules do not judge them."""

    at_s: float
    wall_s: float
    processes: tuple[ProcessStarted, ...]
    users: Mapping[int, str]


class LookedUp(NamedTuple):
    """Processes that events spoke of and nobody had told of; rules do not judge them."""

    at_s: float
    wall_s: float
    processes: tuple[ProcessStarted, ...]


class UsersChanged(NamedTuple):
    """The login names by uid, read again."""

    at_s: float
    wall_s: float
    users: Mapping[int, str]


class Observed(NamedTuple):
    """A batch of events in the order their source gave them."""

    at_s: float
    wall_s: float
    events: tuple[Event, ...]


class ProcessDetail(NamedTuple):
    """What the shell found out about one process; unknown is 0 or "".

    `is_other` says that the pid had been used again before the event that speaks of it: what is
    known of it, and of its ancestors, is about somebody else.
    """

    pid: int
    start_ticks: int
    unit: str
    sha256: str
    is_other: bool = False


class Resolved(NamedTuple):
    """The answer to a Resolve command."""

    at_s: float
    wall_s: float
    ticket: int
    details: tuple[ProcessDetail, ...]


class Swept(NamedTuple):
    """The pids that exist now: every other one has ended unseen."""

    at_s: float
    wall_s: float
    alive: frozenset[int]


class Ticked(NamedTuple):
    """The time asked for by a Wake command has come."""

    at_s: float
    wall_s: float


class Stopping(NamedTuple):
    """The agent ends: tell what waits and close what is open."""

    at_s: float
    wall_s: float


class RulesLoaded(NamedTuple):
    """A verified bundle takes the place of the running one, as soon as its engine is built."""

    at_s: float
    wall_s: float
    bundle: Bundle


class ProfileLoaded(NamedTuple):
    """A verified profile takes the place of the running one; None takes it away."""

    at_s: float
    wall_s: float
    profile: Profile | None


class LearningSet(NamedTuple):
    """Learn from now on, beginning with what was learnt before; None ends it."""

    at_s: float
    wall_s: float
    learnt: Learnt | None


class Standing(NamedTuple):
    """Listeners that were there before anybody told of them; rules do not judge them."""

    at_s: float
    wall_s: float
    listeners: tuple[ListenerOpened, ...]


class Continued(NamedTuple):
    """The loop has had its turn since the Continue command: do the next slice."""

    at_s: float
    wall_s: float


class RuleSlow(NamedTuple):
    """A rule took so many seconds of CPU for one event."""

    at_s: float
    wall_s: float
    rule_id: str
    took_s: float


class Reported(NamedTuple):
    """The shell noticed something about the agent itself that people must know.

    `condition` is a stable word such as "tier-lost"; it becomes the rule id "vedette:<condition>".
    `pid` is who did it, 0 where nobody is known.
    """

    at_s: float
    wall_s: float
    condition: str
    title: str
    severity: Severity
    fields: Mapping[str, str]
    pid: int = 0


Input: TypeAlias = (
    Seeded
    | LookedUp
    | UsersChanged
    | Observed
    | Resolved
    | Swept
    | Ticked
    | Stopping
    | RulesLoaded
    | ProfileLoaded
    | LearningSet
    | Standing
    | Continued
    | RuleSlow
    | Reported
)
