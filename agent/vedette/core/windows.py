"""What a correlation remembers of one group: when it counted what, and how much that is now.

Rule 1: a window slides over the time of events and holds what happened in the last `timespan_s`,
both ends included; what comes later than that is not counted.
Rule 2: of more than can matter only the newest is kept: a count that has passed every threshold by
one stays there, whatever else comes, so each answer of a threshold is exact.
Rule 3: sources have delays of their own. Events of one tier come in the order in which they
happened; an event of another tier may be stamped and told up to SKEW_S after what came next. The
matches of one rule come by one tier at a time, so of each step the newest alone is remembered.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort_right
from collections.abc import Mapping, Sequence
from hashlib import sha256
from operator import eq, ge, gt, le, lt, ne
from typing import NamedTuple, TypeAlias

from vedette.errors import RuleError
from vedette.model.rule import Correlation, Threshold

SKEW_S = 2.0
"""conntrack tells up to 1 s late, fanotify 20 ms; core/agent.py waits for late files as long."""

MAX_LIMIT = 4096
"""Ours: what one group may have to remember for a threshold: 32 KB of times, 400 KB of values."""

MAX_TEXT = 64
"""Characters of a value that is kept as it is; of a longer one a part and its digest are."""

SHOWN_VALUES = 8

GROUP_BYTES = 260
VALUE_BYTES = 170
"""From above: with short keys 180 and 110 on CPython 3.11 (tests/bench/correlation.py)."""

_NEVER = float("-inf")
_COMPARE = {"gt": gt, "gte": ge, "lt": lt, "lte": le, "eq": eq, "neq": ne}

State: TypeAlias = "array[float] | dict[str, float]"
"""One group: an object of few bytes, because an attacker can make many of them."""


class Hit(NamedTuple):
    """One match of a rule that a correlation speaks of: which one, when, told by whom."""

    step: int
    at_s: float
    tier: int
    value: str


class Window:
    """How one kind of correlation counts; the groups themselves are plain states.

    Args:
        correlation: whose timespan and thresholds hold.

    Raises:
        RuleError: a threshold is above MAX_LIMIT.
    """

    def __init__(self, correlation: Correlation) -> None:
        self._timespan_s = float(correlation.timespan_s)
        self._thresholds = correlation.thresholds
        self._most = _most(correlation.thresholds)
        self._steps = len(correlation.rules)

    def is_met(self, count: int) -> bool:
        """Whether every threshold holds of a count."""
        return count > 0 and all(_COMPARE[name](count, limit) for name, limit in self._thresholds)

    def shown_count(self, count: int) -> str:
        """A count as people read it: one at the bound of what is kept says so."""
        return f"{count} or more" if count >= self._most else str(count)

    def open(self) -> State:
        """A group without any hit."""
        raise NotImplementedError

    def add(self, state: State, hit: Hit) -> int:
        """Count a hit; what the group counts now, 0 when the hit adds nothing to the window."""
        raise NotImplementedError

    def size_bytes(self, state: State) -> int:
        """What a group takes, its key and its place in a table included; an estimate from above."""
        raise NotImplementedError

    def seen(self, state: State) -> Mapping[str, str]:
        """What else a finding shows of a group."""
        raise NotImplementedError


class Events(Window):
    """event_count: the times of the newest hits, in order."""

    def open(self) -> State:  # noqa: D102 (as in Window)
        return array("d")

    def add(self, state: State, hit: Hit) -> int:  # noqa: D102
        times = _times(state)
        at_s = hit.at_s
        if not times or at_s >= times[-1]:
            times.append(at_s)
        elif at_s < times[-1] - self._timespan_s:
            return 0
        else:
            insort_right(times, at_s)
        gone = bisect_left(times, times[-1] - self._timespan_s)
        gone = max(gone, len(times) - self._most)
        if gone > 0:
            del times[:gone]
        return len(times)

    def size_bytes(self, state: State) -> int:  # noqa: D102
        return GROUP_BYTES + 9 * len(state)

    def seen(self, state: State) -> Mapping[str, str]:  # noqa: D102
        times = _times(state)
        return {"SpanSeconds": _seconds(times[-1] - times[0])}


class Values(Window):
    """value_count: each value with the time it was last seen."""

    def open(self) -> State:  # noqa: D102
        return {}

    def add(self, state: State, hit: Hit) -> int:  # noqa: D102
        values = _values(state)
        newest_s = max(hit.at_s, next(reversed(values.values()), _NEVER))
        if not hit.value or hit.at_s < newest_s - self._timespan_s:
            return 0
        # The newest stands last; a late one counts as of the newest, at most SKEW_S too long.
        values.pop(hit.value, None)
        values[hit.value] = newest_s
        oldest_s = newest_s - self._timespan_s
        gone = [value for value, at_s in _until(values, oldest_s)]
        for value in gone:
            del values[value]
        if len(values) > self._most:
            del values[next(iter(values))]
        return len(values)

    def size_bytes(self, state: State) -> int:  # noqa: D102
        return GROUP_BYTES + VALUE_BYTES * len(state)

    def seen(self, state: State) -> Mapping[str, str]:  # noqa: D102
        values = _values(state)
        newest = list(values)[-SHOWN_VALUES:]
        more = len(values) - len(newest)
        span_s = values[newest[-1]] - next(iter(values.values()))
        shown = ", ".join(newest) + (f" and {more} more" if more else "")
        return {"Values": shown, "SpanSeconds": _seconds(span_s)}


class Together(Window):
    """temporal: the time each rule was last met."""

    def open(self) -> State:  # noqa: D102
        return array("d", [_NEVER]) * self._steps

    def add(self, state: State, hit: Hit) -> int:  # noqa: D102
        times = _times(state)
        times[hit.step] = max(times[hit.step], hit.at_s)
        oldest_s = max(times) - self._timespan_s
        if hit.at_s < oldest_s:
            return 0
        return sum(1 for at_s in times if at_s >= oldest_s)

    def size_bytes(self, state: State) -> int:  # noqa: D102
        return GROUP_BYTES + 8 * len(state)

    def seen(self, state: State) -> Mapping[str, str]:  # noqa: D102
        times = _times(state)
        oldest_s = max(times) - self._timespan_s
        return {"SpanSeconds": _seconds(max(times) - min(t for t in times if t >= oldest_s))}


class InOrder(Window):
    """temporal_ordered: for each step its newest time and tier, and a way's latest start.

    The state holds four numbers for each step: time, tier, start, and which hit of the group it
    was. The start of a step is that of the way through all steps before it that began last: any
    other way is older, and so in the window only when this one is.
    """

    _TIME, _TIER, _START, _NUMBER, _WIDTH = 0, 1, 2, 3, 4

    def open(self) -> State:  # noqa: D102
        return array("d", [_NEVER] * self._WIDTH) * self._steps

    def add(self, state: State, hit: Hit) -> int:  # noqa: D102
        steps = _times(state)
        here = hit.step * self._WIDTH
        if hit.at_s < steps[here]:
            return 0  # an older one of the same step leads no further than the newer
        steps[here + self._TIME] = hit.at_s
        steps[here + self._TIER] = hit.tier
        steps[here + self._NUMBER] = max(0.0, *steps[self._NUMBER :: self._WIDTH]) + 1
        if hit.step == 0:
            steps[here + self._START] = hit.at_s
        elif self._follows(steps, here):
            before = steps[here - self._WIDTH + self._START]
            steps[here + self._START] = max(steps[here + self._START], before)
        else:
            return 0
        reached = self._go_on(steps, here)
        newest_s = max(steps[self._TIME :: self._WIDTH])
        is_open = steps[reached + self._START] >= newest_s - self._timespan_s
        return reached // self._WIDTH + 1 if is_open else 0

    def size_bytes(self, state: State) -> int:  # noqa: D102
        return GROUP_BYTES + 8 * len(state)

    def seen(self, state: State) -> Mapping[str, str]:  # noqa: D102
        steps = _times(state)
        newest_s = max(steps[self._TIME :: self._WIDTH])
        oldest_s = newest_s - self._timespan_s
        starts = [start for start in steps[self._START :: self._WIDTH] if start >= oldest_s]
        return {"SpanSeconds": _seconds(newest_s - starts[-1])} if starts else {}

    def _go_on(self, steps: array[float], here: int) -> int:
        """What came early: later steps that were told before this one; returns the last reached."""
        while here + self._WIDTH < len(steps):
            after = here + self._WIDTH
            is_older = steps[here + self._START] < steps[after + self._START]
            if is_older or not self._follows(steps, after):
                break
            steps[after + self._START] = steps[here + self._START]
            here = after
        return here

    def _follows(self, steps: array[float], here: int) -> bool:
        """Whether the newest hit of a step can have happened after that of the step before."""
        before = here - self._WIDTH
        earlier_s, later_s = steps[before + self._TIME], steps[here + self._TIME]
        if _NEVER in (earlier_s, later_s):
            return False
        if steps[before + self._TIER] == steps[here + self._TIER]:
            return steps[before + self._NUMBER] < steps[here + self._NUMBER]
        return earlier_s <= later_s + SKEW_S


KINDS: Mapping[str, type[Window]] = {
    "event_count": Events,
    "value_count": Values,
    "temporal": Together,
    "temporal_ordered": InOrder,
}


def short(texts: Sequence[str]) -> str:
    """One text of bounded length for some: the same only for the same ones."""
    joined = "\0".join(texts)
    if len(joined) <= MAX_TEXT and joined.count("\0") == max(len(texts) - 1, 0):
        return joined
    sizes = ",".join(str(len(text)) for text in texts)
    digest = sha256(f"{sizes};{joined}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
    return f"{joined[: MAX_TEXT // 2]}…{digest}"


def _most(thresholds: Sequence[Threshold]) -> int:
    most = max((limit for _, limit in thresholds), default=0)
    if most > MAX_LIMIT:
        raise RuleError(f"expected thresholds of at most {MAX_LIMIT} on a device, got {most}")
    return most + 1


def _until(values: dict[str, float], oldest_s: float) -> list[tuple[str, float]]:
    """Values in front, the oldest ones, that were last seen before a time."""
    gone: list[tuple[str, float]] = []
    for value, at_s in values.items():
        if at_s >= oldest_s:
            break
        gone.append((value, at_s))
    return gone


def _seconds(span_s: float) -> str:
    return f"{span_s:.3f}".rstrip("0").rstrip(".")


def _times(state: State) -> array[float]:
    if isinstance(state, dict):
        raise TypeError("expected the times of a group, got its values")
    return state


def _values(state: State) -> dict[str, float]:
    if not isinstance(state, dict):
        raise TypeError("expected the values of a group, got its times")
    return state
