"""Exclusions: what is known to be harmless on this class of devices, asked after a rule matched.

Rule 1: an exclusion of another device class is not in use here; one without classes is everywhere.
Rule 2: one that cannot be used is left out and named: the device then tells too much, never too
little.
"""

from __future__ import annotations

from collections.abc import Sequence

from vedette.core.condition import Check, compile_condition
from vedette.errors import RuleError
from vedette.model.rule import Condition, Exclusion, Rule


class Exclusions:
    """The exclusions of one bundle that are for one device; filled by `add`.

    Args:
        device_class: of this device, "" for none.

    Attributes:
        refused: (filter id, reason) of those that this device cannot use.
    """

    def __init__(self, device_class: str) -> None:
        self._device_class = device_class
        self.refused: list[tuple[str, str]] = []
        self._exclusions: list[Exclusion] = []
        self._checks: list[Check] = []
        self._excluded: list[int] = []
        self._of_rule: dict[str, list[int]] = {}
        self._of_category: dict[str, list[int]] = {}

    def add(self, exclusion: Exclusion) -> None:
        """Take one into use, if it is for this device."""
        classes = exclusion.device_classes
        if not classes or self._device_class in classes:
            self._use(exclusion)

    def of(self, rule: Rule) -> Sequence[int]:
        """Numbers of the exclusions that a rule's matches have to pass."""
        by_category = self._of_category.get(rule.category, [])
        return (*self._of_rule.get(rule.rule_id, ()), *by_category)

    def condition(self, number: int) -> Condition:
        """What an exclusion asks."""
        return self._exclusions[number].condition

    def check(self, number: int) -> Check:
        """What an exclusion asks, as a function."""
        return self._checks[number]

    def count(self, number: int) -> None:
        """A match was taken out."""
        self._excluded[number] += 1

    def counters(self) -> dict[str, int]:
        """How many matches each exclusion in use took out, by filter id."""
        pairs = zip(self._exclusions, self._excluded, strict=True)
        return {exclusion.filter_id: count for exclusion, count in pairs}

    def _use(self, exclusion: Exclusion) -> None:
        try:
            check = compile_condition(exclusion.condition)
        except RuleError as error:
            self.refused.append((exclusion.filter_id, str(error)))
            return
        number = len(self._exclusions)
        self._exclusions.append(exclusion)
        self._checks.append(check)
        self._excluded.append(0)
        for rule_id in exclusion.rules:
            self._of_rule.setdefault(rule_id, []).append(number)
        if not exclusion.rules:
            self._of_category.setdefault(exclusion.category, []).append(number)
