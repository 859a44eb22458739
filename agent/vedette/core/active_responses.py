"""The responses that were asked for and are not over, by id and by what they act on.

Rule 1: one responder acts on one target once at a time; what holds is not done again. A file is an
exception: it may have been written anew since, and is then another one under the same name.
Rule 2: what was only observed counts as done for as long as it would have lasted, so that observing
tells what enforcing would do, and not each match.
Rule 3: what was undone is spared for a while: a file that is back is seen as a new one, and who
undid a response must not see it done again at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

from vedette.model.response import FileTarget, Mode, Order, ProcessTarget, Target

MAX_ACTIVE = 256
"""Responses asked for or held at once: more would be a denial of service of our own making."""
MAX_OBSERVED = 256
SHORTEST_OBSERVED_S = 60.0
MAX_SPARED = 256
ECHO_S = 30.0
"""An undo is seen by the sensors at once, and by the scan after a start within seconds."""
FORGIVEN_S = 3600.0
"""A person who has undone something has an hour to change the playbook or the rule."""

State = Literal["asked", "held", "undoing"]


@dataclass(slots=True)
class Active:
    """A response that was asked for and is not over."""

    order: Order
    state: State
    until_s: float
    retries: int = 0
    unwanted: str = ""
    """Why it is to be undone as soon as it has been done."""
    is_forgiven: bool = False
    """A person has asked for its undo."""


class ActiveResponses(Mapping[str, Active]):
    """What is asked for, held or being undone, by id; bounded by who asks `why_full`."""

    def __init__(self) -> None:
        self._by_id: dict[str, Active] = {}
        self._in_hand: dict[tuple[str, object], str] = {}
        self._observed: OrderedDict[tuple[str, object], float] = OrderedDict()
        self._spared: OrderedDict[tuple[str, object], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __getitem__(self, response_id: str) -> Active:
        return self._by_id[response_id]

    def add(self, active: Active) -> None:
        """Hold it until `remove`."""
        order = active.order
        self._by_id[order.response_id] = active
        self._in_hand[_key(order.responder, order.target)] = order.response_id

    def remove(self, active: Active) -> None:
        """It is over."""
        order = active.order
        key = _key(order.responder, order.target)
        del self._by_id[order.response_id]
        if self._in_hand.get(key) == order.response_id:
            del self._in_hand[key]

    def observed(self, order: Order, at_s: float) -> None:
        """It would have been done, and would hold from now on."""
        until_s = at_s + max(order.lasts_s, SHORTEST_OBSERVED_S)
        _note(self._observed, order, until_s, MAX_OBSERVED)

    def spare(self, active: Active, at_s: float) -> None:
        """It was undone: its target is left alone for a while."""
        until_s = at_s + (FORGIVEN_S if active.is_forgiven else ECHO_S)
        _note(self._spared, active.order, until_s, MAX_SPARED)

    def is_in_hand(self, responder: str, target: Target, mode: Mode, at_s: float) -> bool:
        """Whether this is being done, holds, was observed and would hold, or is to be spared."""
        key = _key(responder, target)
        if self._spared.get(key, -inf) > at_s:
            return True
        if mode is Mode.OBSERVE and self._observed.get(key, -inf) > at_s:
            return True
        active = self._by_id.get(self._in_hand.get(key, ""))
        return active is not None and (active.state != "held" or not isinstance(target, FileTarget))

    def why_full(self) -> str:
        """Why nothing more may be asked for, or ""."""
        if len(self._by_id) < MAX_ACTIVE:
            return ""
        return f"{MAX_ACTIVE} responses are in force: undo some of them (vedette responses list)"

    def due(self, at_s: float) -> list[Active]:
        """Those that hold and whose time is over."""
        held = self._by_id.values()
        return [one for one in held if one.state == "held" and one.until_s <= at_s]

    def next_s(self) -> float | None:
        """When one is due next, or None."""
        moments = [one.until_s for one in self._by_id.values() if one.state == "held"]
        soonest = min(moments, default=inf)
        return soonest if soonest < inf else None


def identity(target: Target) -> object:
    """What makes two targets the same one, whatever was known of each."""
    if isinstance(target, ProcessTarget):
        return target.key
    if isinstance(target, FileTarget):
        return target.path
    return target


def _note(
    moments: OrderedDict[tuple[str, object], float], order: Order, until_s: float, most: int
) -> None:
    key = _key(order.responder, order.target)
    moments[key] = until_s
    moments.move_to_end(key)
    if len(moments) > most:
        moments.popitem(last=False)


def _key(responder: str, target: Target) -> tuple[str, object]:
    return responder, identity(target)
