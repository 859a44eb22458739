"""Whether a new bundle keeps within the budgets of a bundle, in the time after it was activated.

Rule 1: only what is new or changed in it is held against it: what the rules before did as well is
what happens on the device, and no fault of the bundle. After a start of the agent nobody knows what
was before, so nothing is; the gate counts such starts (trust/content_gate.py).
Rule 2: it trips when one of its changed rules is muted (core/budgets.py: time, work or reports), or
when they tell more together than one rule may. Whoever can bring that about gives back the bundle
that was in use before, and nothing older (ADR 0020).
Rule 3: after TRIAL_S it has proved itself; the shell is told one of both, once.
"""

from __future__ import annotations

from collections.abc import Generator

from vedette.core.budgets import ALERT_WINDOW_S, MAX_ALERTS
from vedette.model.rule import Bundle, Correlation, Rule

TRIAL_S = ALERT_WINDOW_S
"""Ours: as long as reports are counted for."""
SLICE_RULES = 256
"""Ours: compared in less than a millisecond on x86-64."""


class RulesTrial:
    """One bundle on trial.

    Args:
        digest: of the bundle.
        changed: ids of what is new or changed in it (`changed_rules`).
        at_s: since when it is in use.

    Attributes:
        digest: of the bundle.
        ends_s: when it has proved itself.
    """

    def __init__(self, digest: str, changed: frozenset[str], at_s: float) -> None:
        self.digest = digest
        self.ends_s = at_s + TRIAL_S
        self._changed = changed
        self._told = 0

    def muted(self, rule_id: str, title: str, reason: str) -> str:
        """A rule was muted; why the bundle is to be given back, or ""."""
        if rule_id not in self._changed:
            return ""
        return f"the rule {title[:120]!a}, which it brought, exceeded its budget: {reason}"

    def told(self, rule_id: str) -> str:
        """A rule told something; why the bundle is to be given back, or ""."""
        self._told += rule_id in self._changed
        if self._told <= MAX_ALERTS:
            return ""
        return (
            f"the rules that it brought told more than {MAX_ALERTS} reports within {TRIAL_S:.0f} s"
        )


def changed_rules(before: Bundle, new: Bundle) -> Generator[int, None, frozenset[str]]:
    """Ids of rules and correlations that are not in the bundle before as they are in the new one.

    Yields:
        1 after every SLICE_RULES: let the loop run in between.
    """
    known = {_key(rule): rule for rule in _all(before)}
    changed: set[str] = set()
    for number, rule in enumerate(_all(new), start=1):
        if known.get(_key(rule)) != rule:
            changed.add(rule.rule_id)
        if number % SLICE_RULES == 0:
            yield 1
    return frozenset(changed)


def _all(bundle: Bundle) -> tuple[Rule | Correlation, ...]:
    return (*bundle.rules, *bundle.correlations)


def _key(rule: Rule | Correlation) -> tuple[str, str]:
    return rule.rule_id, rule.category if isinstance(rule, Rule) else ""
