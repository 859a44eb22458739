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
from vedette.model.playbook import Playbooks, Promotion
from vedette.model.profile import Learnt, Profile
from vedette.model.response import Mode, Order, Outcome
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
    """A verified bundle takes the place of the running one, as soon as its engine is built.

    `is_trial` says that it has to prove itself: the core answers with SettleRules.
    """

    at_s: float
    wall_s: float
    bundle: Bundle
    is_trial: bool = False


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


class OwnProcesses(NamedTuple):
    """The pids of the agent itself; replaces what was told before."""

    at_s: float
    wall_s: float
    pids: frozenset[int]


class UpdateAnnounced(NamedTuple):
    """These processes belong to an update of the device's own, and the journal says so."""

    at_s: float
    wall_s: float
    pids: tuple[int, ...]


class Reported(NamedTuple):
    """The shell noticed something about the agent itself that people must know.

    `condition` is a stable word such as "tier-lost"; it becomes the rule id "vedette:<condition>".
    `pid` is who did it, 0 where nobody is known; `tags` name techniques as Sigma writes them.
    """

    at_s: float
    wall_s: float
    condition: str
    title: str
    severity: Severity
    fields: Mapping[str, str]
    pid: int = 0
    tags: tuple[str, ...] = ()


class PlaybooksLoaded(NamedTuple):
    """Verified playbooks take the place of those in force; None takes them away.

    Attributes:
        promotions: what was decided about playbooks beside the set, by the playbook's digest.
    """

    at_s: float
    wall_s: float
    playbooks: Playbooks | None
    promotions: Mapping[str, Promotion]


class Guarded(NamedTuple):
    """What may never be touched, as the shell found out; replaces what was told before.

    Attributes:
        pids: ours, and those of declared essential functions.
        addresses: single ones and networks ("10.0.0.0/8", "fe80::/10").
        units: with their suffix.
        paths: files and folders with all below them.
    """

    at_s: float
    wall_s: float
    pids: frozenset[int]
    addresses: frozenset[str]
    units: frozenset[str]
    paths: frozenset[str]


class Ordered(NamedTuple):
    """A verified command of an operator's: carry this order out if it may be."""

    at_s: float
    wall_s: float
    order: Order


class UndoOrdered(NamedTuple):
    """An operator wants a response undone; `by` is "control" or "operator:<key id>:<number>"."""

    at_s: float
    wall_s: float
    response_id: str
    by: str


class Confirmed(NamedTuple):
    """An operator wants a response to last: it holds from now for `lasts_s`, 0 until undone."""

    at_s: float
    wall_s: float
    response_id: str
    lasts_s: float
    by: str


class ModeOrdered(NamedTuple):
    """An operator promotes or demotes a playbook, named by its digest or, to demote, its name."""

    at_s: float
    wall_s: float
    playbook: str
    mode: Mode
    by: str


class Responded(NamedTuple):
    """What came of a response (Respond) or of its undo (Undo)."""

    at_s: float
    wall_s: float
    response_id: str
    is_undo: bool
    outcome: Outcome


class Held(NamedTuple):
    """A response that holds from before a restart, and for how long yet; 0 until undone."""

    order: Order
    remaining_s: float


class Resumed(NamedTuple):
    """What holds from before a restart, told once, before anything is observed."""

    at_s: float
    wall_s: float
    held: tuple[Held, ...]


class EssentialProbed(NamedTuple):
    """What a probe of a declared essential function found."""

    at_s: float
    wall_s: float
    name: str
    is_up: bool
    detail: str


class DrillBegun(NamedTuple):
    """A harmless attack on ourselves begins.

    Attributes:
        word: random, in every event of it that can hold one.
        address: of this host, random, where its connections go.
        expected: by the category of what must be seen, the source that watches its class.
        reason: "timer", or who asked.
    """

    at_s: float
    wall_s: float
    word: str
    address: str
    expected: Mapping[str, str]
    reason: str


class Rehearsed(NamedTuple):
    """Whether a response could be carried out: it was planned, and nothing was done."""

    responder: str
    is_ready: bool
    detail: str


class DrillEnded(NamedTuple):
    """All of a drill was played, and its events had their time to come.

    Attributes:
        not_played: by category, why this host does not allow it.
        is_final: False where what was missed is played once more before it is told.
    """

    at_s: float
    wall_s: float
    not_played: Mapping[str, str]
    responses: tuple[Rehearsed, ...]
    is_final: bool


DefenceInput: TypeAlias = (
    PlaybooksLoaded
    | Guarded
    | Ordered
    | UndoOrdered
    | Confirmed
    | ModeOrdered
    | Responded
    | Resumed
    | EssentialProbed
)

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
    | DrillBegun
    | DrillEnded
    | DefenceInput
    | OwnProcesses
    | UpdateAnnounced
)
