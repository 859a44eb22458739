"""The playbooks in force, and how far each of them may go here.

Rule 1: a playbook observes unless its digest was promoted, by its signed set or by an operator
since; a decision about it (`Promotion`) counts until a later set is loaded.
Rule 2: the device's profile and its owner's configuration only ever say "not further".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vedette.model.finding import Severity
from vedette.model.playbook import (
    LONGEST_S,
    MAX_PER_HOUR,
    DeviceProfile,
    Limit,
    Playbook,
    Playbooks,
    Promotion,
)
from vedette.model.response import Mode

_UNNAMED = Limit(Mode.OBSERVE, MAX_PER_HOUR, LONGEST_S)


class ResponseModes:
    """Which playbooks answer what, and in which mode.

    Args:
        device_class: of this device.
        profile: the name of the profile its owner chose, "" for the one of the class.
        ceiling: OBSERVE keeps everything from enforcing.

    Attributes:
        playbooks: None before any were loaded.
        profile: None where none of the set is for this device: everything observes.
    """

    def __init__(self, device_class: str, profile: str, ceiling: Mode) -> None:
        self._class, self._wanted, self._ceiling = device_class, profile, ceiling
        self.playbooks: Playbooks | None = None
        self.profile: DeviceProfile | None = None
        self.promotions: dict[str, Promotion] = {}
        self._by_rule: dict[str, list[Playbook]] = {}
        self._by_tag: dict[str, list[Playbook]] = {}

    def load(self, playbooks: Playbooks | None, promotions: Mapping[str, Promotion]) -> None:
        """Take a set into use, or none; decisions before its counter count no more."""
        self.playbooks = playbooks
        self.promotions = dict(promotions)
        self.profile = _profile(playbooks, self._class, self._wanted)
        self._by_rule, self._by_tag = {}, {}
        for playbook in playbooks.playbooks if playbooks is not None else ():
            for rule_id in playbook.rules:
                self._by_rule.setdefault(rule_id, []).append(playbook)
            for tag in playbook.tags:
                self._by_tag.setdefault(tag, []).append(playbook)

    def playbooks_for(
        self, rule_id: str, tags: Iterable[str], severity: Severity
    ) -> list[Playbook]:
        """Those that answer a finding, each once, in a fixed order."""
        found = list(self._by_rule.get(rule_id, ()))
        for tag in tags if self._by_tag else ():
            found += [one for one in self._by_tag.get(tag, ()) if one not in found]
        return [playbook for playbook in found if severity >= playbook.severity]

    def mode_of(self, playbook: Playbook, responder: str) -> Mode:
        """How far a playbook may go with a responder."""
        if self._ceiling is Mode.OBSERVE or self._limit(responder).mode is Mode.OBSERVE:
            return Mode.OBSERVE
        return self.decided(playbook)

    def decided(self, playbook: Playbook) -> Mode:
        """What signed content and operators decided, whatever this device allows."""
        if self.playbooks is None:
            return Mode.OBSERVE
        promotion = self.promotions.get(playbook.digest)
        if promotion is not None and promotion.counter >= self.playbooks.counter:
            return promotion.mode
        return Mode.ENFORCE if playbook.digest in self.playbooks.promoted else Mode.OBSERVE

    def per_hour(self, responder: str) -> int:
        """How often a responder may act in an hour here."""
        return self._limit(responder).per_hour

    def longest_s(self, responder: str) -> int:
        """How long a response may last here."""
        return self._limit(responder).longest_s

    def in_force(self, name: str) -> Playbook | None:
        """The playbook of this name."""
        playbooks = self.playbooks.playbooks if self.playbooks is not None else ()
        return next((one for one in playbooks if one.name == name), None)

    def named(self, name: str, mode: Mode) -> list[Playbook]:
        """Those that an order means: by digest, or to demote by name too (a name may change)."""
        playbooks = self.playbooks.playbooks if self.playbooks is not None else ()
        return [
            one
            for one in playbooks
            if one.digest == name or (mode is Mode.OBSERVE and one.name == name)
        ]

    def decide(self, playbook: Playbook, mode: Mode, reason: str) -> Promotion:
        """Decide about a playbook until a later set does."""
        counter = self.playbooks.counter if self.playbooks is not None else 0
        promotion = Promotion(mode, counter, reason)
        self.promotions[playbook.digest] = promotion
        return promotion

    def _limit(self, responder: str) -> Limit:
        if self.profile is None:
            return _UNNAMED
        return self.profile.limits.get(responder, _UNNAMED)


def _profile(playbooks: Playbooks | None, device_class: str, wanted: str) -> DeviceProfile | None:
    for profile in playbooks.profiles if playbooks is not None else ():
        if profile.name == wanted or (not wanted and device_class in profile.classes):
            return profile
    return None
