"""Decides what is sent next, what is held back, and what counts as delivered.

Rule 1: entries are offered in the order of their sequences; what is in flight when a session ends
is sent again with the same sequence.
Rule 2: the mark rises only over entries that the broker acknowledged with a reason below 0x80.
Rule 3: a refused topic waits with growing pauses and holds up nothing but itself; a severity whose
share of the day's data is used up waits for the next. Critical entries never wait for want of data.
Rule 4: an entry that is too large for the broker is sent reduced, and so is one that has ended
BARREN_SESSIONS sessions in a row: no entry may keep the others from leaving.
Rule 5: each condition is told once when it begins and once when it ends; one that an earlier
process told and that has not ended is not told again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from vedette.core.data_budget import DataBudget
from vedette.model.finding import Severity
from vedette.model.journal import NOTHING_SPENT, Spent
from vedette.model.message import Outcome, SessionChanged

REFUSED_FROM = 0x80  # MQTT 5.0 2.4
NO_MATCHING_SUBSCRIBERS = 0x10
PACKET_TOO_LARGE = 0x95

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
BARREN_SESSIONS = 5
"""Sessions that came up and ended without one acknowledgement before the first entry is blamed."""
UNHEARD_REPEAT_S = 3600.0
MAX_AHEAD = 4096
"""Acknowledged sequences kept above the mark, 64 bytes each; then the held ones are waited for."""


class Condition:
    """The conditions that are told; the words are their names."""

    OFFLINE = "uplink-down"
    REFUSED = "uplink-refused"
    TOO_LARGE = "uplink-too-large"
    UNHEARD = "uplink-unheard"
    BUDGET = "uplink-budget"
    BARREN = "uplink-stuck"

    LASTING = frozenset((OFFLINE, REFUSED, UNHEARD))
    """Those that the next process sees end, if they have, without having seen them begin."""


class Verdict(Enum):
    """What is to be done with an offered entry."""

    SEND = auto()
    REDUCE = auto()
    HOLD = auto()
    STOP = auto()


class Notice(NamedTuple):
    """A condition began (detail for people) or ended (detail "")."""

    condition: str
    detail: str


class Parcel(NamedTuple):
    """What the outbox needs to know of an entry; `size_bytes` of the whole PUBLISH packet."""

    sequence: int
    suffix: str
    severity: Severity
    size_bytes: int
    is_reduced: bool


class _Flying(NamedTuple):
    suffix: str
    is_reduced: bool


@dataclass(slots=True)
class _Refusal:
    """A topic that the broker does not take now, and when to try again.

    Only `wake` says that the time has come: between two offers it would let a later entry pass.
    """

    retry_s: float
    pause_s: float
    is_probing: bool = False
    is_due: bool = False

    def is_held(self) -> bool:
        """Whether nothing may go on the topic now."""
        return self.is_probing or not self.is_due


class Outbox:
    """Between the journal and the uplink.

    Args:
        delivered: the journal's mark.
        budget_bytes: a day; 0 means no limit.
        spent: of the day that an earlier process began.
        told: conditions of an earlier process that have not ended, with their details.
    """

    def __init__(
        self,
        delivered: int,
        budget_bytes: int,
        spent: Spent = NOTHING_SPENT,
        told: Mapping[str, str] | None = None,
    ) -> None:
        self.mark = delivered
        self.cursor = delivered
        self._budget = DataBudget(budget_bytes, spent)
        self._flying: dict[int, _Flying] = {}
        self._ahead: set[int] = set()
        self._lowest_held: int | None = None
        self._refusals: dict[str, _Refusal] = {}
        self._unqueued: _Refusal | None = None
        self._to_reduce: set[int] = set()
        self._is_up = False
        self._largest_bytes = 0
        self._receive_maximum = 0
        self._barren = 0
        self._was_acknowledged = False
        self._unheard_s: float | None = None
        self._told = {
            name: detail for name, detail in (told or {}).items() if name in Condition.LASTING
        }
        self._notices: list[Notice] = []

    @property
    def is_up(self) -> bool:
        """Whether there is a session."""
        return self._is_up

    @property
    def in_flight(self) -> int:
        """Entries handed over and not answered."""
        return len(self._flying)

    @property
    def conditions(self) -> Mapping[str, str]:
        """What has begun and not ended, with its detail."""
        return self._told

    def spent(self, now_s: float) -> Spent:
        """What was sent in the present day of the budget."""
        return self._budget.spent(now_s)

    def take_notices(self) -> list[Notice]:
        """What began or ended since the last call."""
        found, self._notices = self._notices, []
        return found

    def change_session(self, change: SessionChanged) -> None:
        """The session came up, went down, or never came up."""
        if change.is_up:
            if change.maximum_packet_bytes > self._largest_bytes:
                self._end(Condition.TOO_LARGE)
                self._to_reduce.clear()
            self._largest_bytes = change.maximum_packet_bytes
            self._receive_maximum = change.receive_maximum
            self._end(Condition.OFFLINE)
        else:
            if self._is_up and self._flying:
                self._count_barren()
            self._begin(Condition.OFFLINE, change.reason)
        self._is_up = change.is_up
        self._was_acknowledged = False
        for refusal in self._all_refusals():
            refusal.is_probing = False
        self._flying.clear()
        self._walk_again()

    def offer(self, parcel: Parcel) -> Verdict:
        """Judge the next entry; SEND is followed by `sent` once the uplink took it.

        Args:
            parcel: its sequence is above `cursor`.
        """
        if parcel.sequence in self._ahead or parcel.sequence in self._flying:
            self.cursor = parcel.sequence
            return Verdict.HOLD  # neither again: on its way, or there
        if not self._may_fly():
            return Verdict.STOP
        refusal = self._refusals.get(parcel.suffix)
        if (refusal is not None and refusal.is_held()) or self._is_over_budget(parcel):
            return self._hold(parcel.sequence)
        if parcel.is_reduced:
            return self._offer_reduced(parcel)
        if parcel.sequence in self._to_reduce:
            return Verdict.REDUCE
        if parcel.size_bytes > self._largest_bytes:
            self._blame_size(parcel.sequence, parcel.size_bytes, self._largest_bytes)
            return Verdict.REDUCE
        return Verdict.SEND

    def sent(self, parcel: Parcel) -> None:
        """The uplink took it."""
        self.spend(parcel.size_bytes)
        self._flying[parcel.sequence] = _Flying(parcel.suffix, parcel.is_reduced)
        self.cursor = parcel.sequence
        refusal = self._refusals.get(parcel.suffix)
        if refusal is not None:
            refusal.is_probing = True

    def spend(self, size_bytes: int) -> None:
        """Count what was sent, queued or not."""
        self._budget.spend(size_bytes)

    def settle(self, outcome: Outcome, now_s: float) -> None:
        """The broker answered."""
        flying = self._flying.pop(outcome.sequence, None)
        if outcome.reason_code >= REFUSED_FROM:
            self._refuse(outcome, flying, now_s)
            return
        if outcome.sequence == 0:
            self._unqueued = None
            self._end_refused()
        if flying is None:
            return
        self._was_acknowledged = True
        self._barren = 0
        self._end(Condition.BARREN)
        if outcome.reason_code == NO_MATCHING_SUBSCRIBERS:
            self._begin_unheard(now_s)
        else:
            self._end(Condition.UNHEARD)
        self._to_reduce.discard(outcome.sequence)
        self._ahead.add(outcome.sequence)
        if self._refusals.pop(flying.suffix, None) is not None:
            self._walk_again()
        self._end_refused()
        self._raise_mark()

    def next_due_s(self) -> float | None:
        """When held entries are to be looked at again, or None."""
        due = [r.retry_s for r in self._all_refusals() if not r.is_probing]
        if Condition.BUDGET in self._told and self._budget.ends_s is not None:
            due.append(self._budget.ends_s)
        return min(due, default=None)

    def wants_state(self, now_s: float) -> bool:
        """Whether a refused state is to be sent again now; it then counts as sent."""
        refusal = self._unqueued
        if refusal is None or refusal.is_probing or refusal.retry_s > now_s:
            return False
        refusal.is_probing = True
        return True

    def wake(self, now_s: float) -> None:
        """Look at held entries again, if their time has come: then `cursor` falls.

        Nothing else begins a new day, so that the cursor never falls between two offers.
        """
        if self._budget.tell_time(now_s) and Condition.BUDGET in self._told:
            self._end(Condition.BUDGET)
            self._walk_again()
        for refusal in self._all_refusals():
            if not refusal.is_probing and refusal.retry_s <= now_s:
                refusal.is_due = True
                self._walk_again()

    def _may_fly(self) -> bool:
        window = 1 if self._barren > 1 else self._receive_maximum
        return self._is_up and len(self._flying) < window and len(self._ahead) < MAX_AHEAD

    def _hold(self, sequence: int) -> Verdict:
        if self._lowest_held is None:
            self._lowest_held = sequence
        self.cursor = sequence
        return Verdict.HOLD

    def _offer_reduced(self, parcel: Parcel) -> Verdict:
        if parcel.size_bytes <= self._largest_bytes:
            return Verdict.SEND
        self._begin(
            Condition.TOO_LARGE,
            f"the broker takes packets of at most {self._largest_bytes} bytes: not even a reduced "
            f"report of {parcel.size_bytes} bytes fits; raise its max_packet_size",
        )
        return self._hold(parcel.sequence)

    def _is_over_budget(self, parcel: Parcel) -> bool:
        budget = self._budget
        if budget.allows(parcel.severity, parcel.size_bytes):
            return False
        self._begin(
            Condition.BUDGET,
            f"{budget.spent_bytes} of {budget.limit_bytes} bytes of this day are used: entries of "
            f"severity {parcel.severity.name.lower()} wait for the next",
        )
        return True

    def _refuse(self, outcome: Outcome, flying: _Flying | None, now_s: float) -> None:
        if outcome.reason_code == PACKET_TOO_LARGE and flying is not None and not flying.is_reduced:
            self._blame_size(outcome.sequence, 0, 0)
            self._walk_again()
            return
        suffix = flying.suffix if flying is not None else "birth or state"
        self._begin(
            Condition.REFUSED,
            f"the broker refuses {suffix} with reason {outcome.reason_code:#04x}; check what this "
            "device may publish there",
        )
        if flying is None:
            if outcome.sequence == 0:
                self._unqueued = _postponed(self._unqueued, now_s)
            return
        self._refusals[suffix] = _postponed(self._refusals.get(suffix), now_s)
        self._lowest_held = min(outcome.sequence, self._lowest_held or outcome.sequence)

    def _blame_size(self, sequence: int, size_bytes: int, largest_bytes: int) -> None:
        self._to_reduce.add(sequence)
        sizes = f" ({size_bytes} bytes, at most {largest_bytes} pass)" if size_bytes else ""
        self._begin(
            Condition.TOO_LARGE,
            f"entry {sequence} is larger than the broker takes{sizes}: sent reduced, with the "
            "digest of the whole, which stays in the journal",
        )

    def _count_barren(self) -> None:
        if self._was_acknowledged:
            return
        self._barren += 1
        if self._barren >= BARREN_SESSIONS:
            first = min(self._flying)
            self._to_reduce.add(first)
            self._barren = 0
            self._begin(
                Condition.BARREN,
                f"{BARREN_SESSIONS} sessions ended without an acknowledgement: entry {first} is "
                "sent reduced from now on",
            )

    def _walk_again(self) -> None:
        self.cursor = self.mark
        self._lowest_held = None

    def _raise_mark(self) -> None:
        # All entries up to the cursor are known: acknowledged, in flight or held.
        below = min((*self._flying, self._lowest_held or self.cursor + 1, self.cursor + 1))
        done = [sequence for sequence in self._ahead if sequence < below]
        if done:
            self.mark = max(self.mark, *done)
            self._ahead.difference_update(done)

    def _all_refusals(self) -> list[_Refusal]:
        unqueued = [] if self._unqueued is None else [self._unqueued]
        return [*self._refusals.values(), *unqueued]

    def _end_refused(self) -> None:
        if not self._all_refusals():
            self._end(Condition.REFUSED)

    def _begin_unheard(self, now_s: float) -> None:
        """Where some topics are subscribed and others not, it would begin and end at each entry."""
        if self._unheard_s is None or not 0.0 <= now_s - self._unheard_s < UNHEARD_REPEAT_S:
            self._unheard_s = now_s
            self._begin(Condition.UNHEARD, "the broker takes the reports, and nobody subscribes")

    def _begin(self, condition: str, detail: str) -> None:
        # Once, not once a detail: a notice becomes an entry, which may meet the same condition.
        if condition not in self._told:
            self._told[condition] = detail
            self._notices.append(Notice(condition, detail))

    def _end(self, condition: str) -> None:
        if condition in self._told:
            del self._told[condition]
            self._notices.append(Notice(condition, ""))


def _postponed(previous: _Refusal | None, now_s: float) -> _Refusal:
    """The next try: a refused one doubles the pause, others that were under way with it do not."""
    if previous is None:
        return _Refusal(now_s + FIRST_PAUSE_S, FIRST_PAUSE_S)
    pause_s = min(previous.pause_s * (2 if previous.is_probing else 1), LONGEST_PAUSE_S)
    return _Refusal(now_s + pause_s, pause_s)
