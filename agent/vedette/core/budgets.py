"""What one rule may cost and how much it may tell; one that exceeds it is muted for a while.

Rule 1: work is counted, never timed: characters searched, and rules asked. What the shell measures
comes back as an input (`core/inputs.py: RuleSlow`), so that a replay mutes the same rules.
Rule 2: a rule that costs too much is not asked while it is muted. One that tells too much is asked
all the same and feeds its correlations; its matches are counted, and told as one number at the end.
Rule 3: the first time a rule is muted for FIRST_MUTE_S, soon after for twice as long each time, up
to LONGEST_MUTE_S: who can make a rule expensive must not be able to switch it off for long.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import NamedTuple

from vedette.core.engine import Engine
from vedette.core.partition import matches_of
from vedette.model.rule import Correlation, Rule

WORK_WINDOW_S = 10.0
MAX_WORK = 40_000_000
"""Ours: units a rule may use in a window, one or two nanoseconds each on x86-64: half a per cent of
a core for one rule. A storm of 8,500 executions a second with 400 characters each stays below."""

ASK_WORK = 128
"""Units of asking a rule at all."""

PATTERN_WORK = 8
"""Units of a character for a rule with a regular expression; 1 for others."""

ALERT_WINDOW_S = 600.0
MAX_ALERTS = 600
"""Ours: reports a rule may send in a window: one a second, for ten minutes, is read by nobody."""

FIRST_MUTE_S = 300.0
LONGEST_MUTE_S = 3600.0
RELAPSE_S = 3600.0
"""A rule that is muted again so soon after the last time is muted for longer."""


class Muted(NamedTuple):
    """A rule that is muted; `is_asked` says that only what it tells was too much."""

    rule: Rule | Correlation
    until_s: float
    reason: str
    is_asked: bool
    held: int


class _Record:
    """What is remembered of a rule that told something or was muted."""

    __slots__ = ("alerts", "began_s", "ended_s", "mute_s")

    def __init__(self, at_s: float) -> None:
        self.began_s = at_s
        self.alerts = 0
        self.ended_s = float("-inf")
        self.mute_s = FIRST_MUTE_S / 2


class Budgets:
    """The accounts of all rules."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}
        self._muted: dict[str, Muted] = {}
        self._window_s = 0.0
        self._asked = array("Q")
        self._chars = array("Q")
        self.mutes = 0
        """How often a rule was muted so far."""

    @property
    def muted(self) -> Mapping[str, Muted]:
        """The rules that are muted now, by id."""
        return self._muted

    def hold(self, rule_id: str) -> bool:
        """Whether a match must not be told because its rule is muted; counts it then."""
        muted = self._muted.get(rule_id)
        if muted is None:
            return False
        self._muted[rule_id] = muted._replace(held=muted.held + 1)
        return True

    def told(self, rule_id: str, at_s: float) -> str:
        """Count a report; returns why the rule must be muted, or ""."""
        record = self._records.setdefault(rule_id, _Record(at_s))
        if at_s - record.began_s >= ALERT_WINDOW_S:
            record.began_s, record.alerts = at_s, 0
        record.alerts += 1
        if record.alerts <= MAX_ALERTS:
            return ""
        record.began_s, record.alerts = at_s, 0
        return f"it told more than {MAX_ALERTS} reports in {ALERT_WINDOW_S:.0f} s"

    def overworked(self, engine: Engine, at_s: float) -> list[tuple[Rule, str]]:
        """Rules whose work of the window that has ended was too much, with the reason."""
        if at_s - self._window_s < WORK_WINDOW_S:
            return []
        asked, chars = engine.asked, engine.chars
        found: list[tuple[Rule, str]] = []
        if len(self._asked) == len(asked):
            for number, rule in enumerate(engine.bundle.rules):
                new = asked[number] - self._asked[number]
                if new and _is_excess(new, chars[number] - self._chars[number], rule):
                    found.append(
                        (rule, f"it was asked {new} times in {at_s - self._window_s:.0f} s")
                    )
        self._window_s = at_s
        self._asked, self._chars = array("Q", asked), array("Q", chars)
        return found

    def restart(self) -> None:
        """Begin to count work anew: another engine is in use."""
        self._asked, self._chars = array("Q"), array("Q")

    def mute(self, rule: Rule | Correlation, at_s: float, reason: str, *, is_asked: bool) -> Muted:
        """Mute a rule; returns for how long."""
        record = self._records.setdefault(rule.rule_id, _Record(at_s))
        is_relapse = at_s - record.ended_s < RELAPSE_S
        record.mute_s = min(2 * record.mute_s, LONGEST_MUTE_S) if is_relapse else FIRST_MUTE_S
        muted = Muted(rule, at_s + record.mute_s, reason, is_asked, 0)
        self._muted[rule.rule_id] = muted
        self.mutes += 1
        return muted

    def unmute(self, rule_id: str, at_s: float) -> Muted:
        """End the muting of a rule before or at its time."""
        self._records[rule_id].ended_s = at_s
        return self._muted.pop(rule_id)

    def due(self, at_s: float) -> list[str]:
        """Ids of the rules whose time has come to be unmuted."""
        return [rule_id for rule_id, muted in self._muted.items() if muted.until_s <= at_s]

    def next_s(self) -> float | None:
        """When a rule is due next, or None."""
        return min((muted.until_s for muted in self._muted.values()), default=None)


def _is_excess(asked: int, chars: int, rule: Rule) -> bool:
    if asked * ASK_WORK + chars * PATTERN_WORK <= MAX_WORK:
        return False
    weight = PATTERN_WORK if _has_pattern(rule) else 1
    return asked * ASK_WORK + chars * weight > MAX_WORK


def _has_pattern(rule: Rule) -> bool:
    return any(match.operator == "re" for match in matches_of(rule.condition))
