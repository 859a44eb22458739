"""Detection: the rules in use, from an event's fields to what is told of it.

Rule 1: engine, then correlations, then findings; a rule that only feeds correlations tells nothing.
Rule 2: the next engine is built in slices between batches (`Continue`, `Continued`); until the last
one the engine before judges, and then the next does: each event is judged once. The first engine of
all is built at once, since nothing could judge meanwhile.
Rule 3: open windows of unchanged correlations and muted rules that did not change stay as they are.
Rule 4: a rule that exceeds its budget (core/budgets.py) is muted, told so, unmuted and told so.
Rule 5: a new bundle is on trial for a while (core/rules_trial.py); the shell is told how it ended.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any, NamedTuple

from vedette.core.budgets import Budgets, Muted
from vedette.core.commands import Command, Continue, SettleRules
from vedette.core.correlation import Correlator
from vedette.core.drills import CORRELATION, TAG, Drills
from vedette.core.engine import PATTERN_WORK, Engine, Slow, Stopwatch
from vedette.core.findings import Findings, Sighting
from vedette.core.inputs import DrillEnded, RuleSlow
from vedette.core.process_table import Process
from vedette.core.redact import Redactor
from vedette.core.rules_trial import RulesTrial, changed_rules
from vedette.model.event import EventClass
from vedette.model.finding import Severity
from vedette.model.rule import Bundle, Correlation, Rule


class _Prepared(NamedTuple):
    """What takes the place of what is in use."""

    engine: Engine
    correlator: Correlator
    redact: Redactor
    changed: frozenset[str] | None
    """What is new in it, for its trial; None where it is not tried."""


class Detection:
    """The rules of one bundle at work, and the next ones being prepared.

    Args:
        device_class: which exclusions hold here.
        findings: where matches go.
        commands: where orders to the shell go.

    Attributes:
        engine: None before the first bundle.
        stopwatch: for the engines, to find rules that are too slow; None where nobody asks.
        drills: the harmless attack on ourselves that runs now.
        trial: of the bundle in use, while it has to prove itself.
    """

    def __init__(self, device_class: str, findings: Findings, commands: list[Command]) -> None:
        self._device_class = device_class
        self._findings = findings
        self._commands = commands
        self._building: Generator[int, None, _Prepared] | None = None
        self._leaving: Iterator[None] = iter(())
        self._has_asked = False
        self.engine: Engine | None = None
        self.correlator = Correlator()
        self.budgets = Budgets()
        self.stopwatch: Stopwatch | None = None
        self.drills = Drills(findings, commands)
        self.trial: RulesTrial | None = None

    @property
    def is_preparing(self) -> bool:
        """Whether the rules in use are not yet those of the last `load`."""
        return self._building is not None

    def load(self, bundle: Bundle, at_s: float, *, is_trial: bool = False) -> None:
        """Take a bundle into use: at once when it is the first, else a slice at a time."""
        self._building = self._prepare(bundle, is_trial=is_trial)
        while self.engine is None:
            self._step(self._building, at_s)
        if self._building is not None:
            self._ask_turn()

    def go_on(self, at_s: float) -> None:
        """Do the next slice of what is being built, or of what is being taken apart."""
        self._has_asked = False
        if self._building is not None:
            self._step(self._building, at_s)
        elif next(self._leaving, self) is self:
            return
        self._ask_turn()

    def judge(
        self,
        category: str,
        event_class: EventClass,
        event: Any,
        fields: Mapping[str, str],
        process: Process | None,
    ) -> None:
        """Judge one event by its fields."""
        if self.drills.running is not None:
            self.drills.look(category, event.tier, event.at_s, fields)
        if self.engine is None:
            return
        for rule in self.engine.match(category, fields):
            self._matched(rule, Sighting(event_class, event.tier, event.at_s, fields, process))

    def settle(self, at_s: float) -> None:
        """After a batch: mute what has cost too much."""
        if self.engine is not None:
            for rule, reason in self.budgets.overworked(self.engine, at_s):
                self._mute(rule, at_s, reason, is_asked=False)

    def tick(self, at_s: float) -> None:
        """Unmute whose time has come."""
        for rule_id in self.budgets.due(at_s):
            self._unmute(rule_id, at_s, "its time was over")
        if self.trial is not None and at_s >= self.trial.ends_s:
            self._settle("")

    def next_s(self) -> float | None:
        """When `tick` has something to do next, or None."""
        budgets_s = self.budgets.next_s()
        if self.trial is None:
            return budgets_s
        return self.trial.ends_s if budgets_s is None else min(budgets_s, self.trial.ends_s)

    def slow(self, given: RuleSlow) -> None:
        """The shell found that a rule takes too long."""
        rules = self.engine.rules(given.rule_id) if self.engine is not None else ()
        for rule in rules[:1]:
            reason = f"one event took it {given.took_s * 1000:.0f} ms"
            self._mute(rule, given.at_s, reason, is_asked=False)

    def take_slow(self) -> list[Slow]:
        """Rules that took too long since this was asked last."""
        return self.engine.take_slow() if self.engine is not None else []

    def end_drill(self, given: DrillEnded) -> None:
        """A drill is over: record and tell what came of it."""
        bundle = self.engine.bundle if self.engine is not None else None
        rules = bundle.rules if bundle is not None else ()
        ruled = {rule.category.partition(":")[0] for rule in rules if TAG in rule.tags}
        if bundle is not None and any(TAG in one.tags for one in bundle.correlations):
            ruled.add(CORRELATION)
        self.drills.end(given, sorted(ruled))

    def _ask_turn(self) -> None:
        if not self._has_asked:
            self._has_asked = True
            self._commands.append(Continue())

    def _matched(self, rule: Rule, seen: Sighting) -> None:
        if rule.is_reported:
            self._tell(rule, seen)
        for found in self.correlator.observe(rule.rule_id, seen.at_s, seen.tier, seen.fields):
            if found.correlation.is_reported:
                shown = seen._replace(fields=found.fields, subject=found.group)
                self._tell(found.correlation, shown)

    def _tell(self, rule: Rule | Correlation, seen: Sighting) -> None:
        if TAG in rule.tags:
            category = rule.category if isinstance(rule, Rule) else CORRELATION
            if self.drills.take(rule.rule_id, category, seen):
                return
        if self.budgets.hold(rule.rule_id):
            self._findings.unheard(rule, seen)
            return
        if self._findings.of_rule(rule, seen):
            reason = self.budgets.told(rule.rule_id, seen.at_s)
            if reason:
                self._mute(rule, seen.at_s, reason, is_asked=True)
            if self.trial is not None and (reason := self.trial.told(rule.rule_id)):
                self._settle(reason)

    def _prepare(self, bundle: Bundle, *, is_trial: bool) -> Generator[int, None, _Prepared]:
        changed: frozenset[str] | None = frozenset() if is_trial else None
        if is_trial and self.engine is not None:
            changed = yield from changed_rules(self.engine.bundle, bundle)
        prepared = _Prepared(
            (yield from Engine.in_slices(bundle, device_class=self._device_class)),
            Correlator(),
            Redactor(),
            changed,
        )
        for correlation in bundle.correlations:
            prepared.correlator.add(correlation)
            yield 1
        for pattern in bundle.redactions:
            prepared.redact.add(pattern)
            yield PATTERN_WORK
        return prepared

    def _step(self, building: Generator[int, None, _Prepared], at_s: float) -> None:
        try:
            next(building)
        except StopIteration as stop:
            self._building = None
            self._adopt(stop.value, at_s)

    def _adopt(self, prepared: _Prepared, at_s: float) -> None:
        before, engine = self.engine, prepared.engine
        self.engine = engine
        engine.stopwatch = self.stopwatch
        prepared.correlator.inherit(self.correlator)
        self.correlator = prepared.correlator
        self._findings.bundle = engine.bundle.digest
        self._findings.redact = prepared.redact
        self._try(prepared, at_s)
        self._keep_muted(engine, at_s)
        self._tell_refused(at_s)
        if before is not None:
            self._leaving = before.take_apart()

    def _try(self, prepared: _Prepared, at_s: float) -> None:
        digest = prepared.engine.bundle.digest
        if prepared.changed is None:
            self.trial = None
        elif self.trial is None or self.trial.digest != digest:
            self.trial = RulesTrial(digest, prepared.changed, at_s)

    def _settle(self, reason: str) -> None:
        if self.trial is not None:
            self._commands.append(SettleRules(self.trial.digest, reason))
            self.trial = None

    def _keep_muted(self, engine: Engine, at_s: float) -> None:
        self.budgets.restart()
        for rule_id, muted in list(self.budgets.muted.items()):
            if muted.rule not in (*engine.rules(rule_id), *engine.bundle.correlations):
                self._unmute(rule_id, at_s, "it was replaced")
            elif not muted.is_asked:
                engine.mute(rule_id)

    def _tell_refused(self, at_s: float) -> None:
        refused = self.engine.refused if self.engine is not None else ()
        for rule_id, reason in (*refused, *self.correlator.refused):
            fields = {"Target": rule_id, "Reason": reason}
            title = "A rule of the bundle cannot be run here"
            self._ours("rule-refused", title, Severity.MEDIUM, at_s, fields)

    def _mute(self, rule: Rule | Correlation, at_s: float, reason: str, *, is_asked: bool) -> None:
        if rule.rule_id in self.budgets.muted:
            return
        if self.engine is not None and not is_asked:
            self.engine.mute(rule.rule_id)
        muted = self.budgets.mute(rule, at_s, reason, is_asked=is_asked)
        what = "tells nothing" if is_asked else "is not asked"
        title = f"A rule {what} for a while, because it exceeded its budget"
        severity = Severity.HIGH if rule.severity >= Severity.HIGH else Severity.MEDIUM
        fields = _fields(muted) | {"Seconds": f"{muted.until_s - at_s:.0f}"}
        self._ours("rule-muted", title, severity, at_s, fields)
        if self.trial is not None and (why := self.trial.muted(rule.rule_id, rule.title, reason)):
            self._settle(why)

    def _unmute(self, rule_id: str, at_s: float, reason: str) -> None:
        muted = self.budgets.unmute(rule_id, at_s)
        if self.engine is not None:
            self.engine.unmute(rule_id)
        fields = _fields(muted) | {"Reason": reason, "Held": str(muted.held)}
        title = "A rule that was muted is in use again"
        self._ours("rule-unmuted", title, Severity.LOW, at_s, fields)

    def _ours(
        self, condition: str, title: str, severity: Severity, at_s: float, fields: dict[str, str]
    ) -> None:
        seen = Sighting(EventClass.AGENT, "agent", at_s, fields, None)
        self._findings.of_ours(condition, title, severity, seen)


def _fields(muted: Muted) -> dict[str, str]:
    return {"Target": muted.rule.rule_id, "RuleTitle": muted.rule.title, "Reason": muted.reason}
