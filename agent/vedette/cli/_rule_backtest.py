"""What rules would have found in a recording: how often, with examples.

Rule: memory is bounded whatever the recording's length: counts and a few examples for each rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from vedette.cli._rerun import Rerun, chunks
from vedette.core.agent import AgentSettings
from vedette.core.commands import Append
from vedette.core.correlation import Correlated, Correlator
from vedette.core.engine import Engine
from vedette.core.inputs import Input, Observed, RulesLoaded
from vedette.core.recording import read
from vedette.core.redact import Redactor
from vedette.errors import ParseError, RuleError
from vedette.model.rule import Bundle, Correlation, Rule

MAX_EXAMPLES = 3
MAX_EXAMPLE_CHARS = 1024
_MUTED = "vedette:rule-muted"


class Example(NamedTuple):
    """One event that a rule met: Unix time, and the fields a finding shows, redacted."""

    wall_s: float
    fields: Mapping[str, str]


class Fired:
    """What became of one rule or correlation."""

    def __init__(self, rule: Rule | Correlation) -> None:
        self.rule = rule
        self.count = 0
        self.muted = 0
        self.examples: list[Example] = []


class Backtest(NamedTuple):
    """A recording under one set of rules.

    Attributes:
        fired: by id, all rules and correlations, also those that never fired.
        seconds: from the first to the last event, by the device's clock.
        damage: why the recording could not be read to its end, "" when it was.
    """

    fired: Mapping[str, Fired]
    events: int
    seconds: float
    damage: str

    @property
    def findings(self) -> int:
        """Matches of all rules and correlations that are reported."""
        return sum(one.count for one in self.fired.values() if one.rule.is_reported)


def backtest(file: Path, bundle: Bundle | None) -> Backtest:
    """Give a recording to rules.

    Args:
        file: what `vedette run --record` wrote.
        bundle: the rules; None takes those of the recording, as they were loaded.

    Raises:
        ParseError: it is no recording at all.
        RuleError: a redaction of the rules cannot be used.
    """
    settings, inputs = read(chunks(file))
    run = _Run(settings)
    if bundle is not None:
        run.load(bundle)
    damage = ""
    try:
        for given in inputs:
            if isinstance(given, RulesLoaded) and bundle is None:
                run.load(given.bundle)
            run.feed(given)
    except ParseError as error:
        damage = str(error)
    return Backtest(run.fired, run.events, run.last_s - run.first_s, damage)


class _Run:
    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        empty = Bundle("none", 0, 0, 0, (), (), "")
        self._rerun = Rerun(settings, Engine(empty), Correlator())
        self._redact = Redactor()
        self.fired: dict[str, Fired] = {}
        self.events = 0
        self.first_s = self.last_s = 0.0

    def load(self, bundle: Bundle) -> None:
        """Judge by these rules from now on."""
        rules: tuple[Rule | Correlation, ...] = (*bundle.rules, *bundle.correlations)
        for rule in rules:
            known = self.fired.setdefault(rule.rule_id, Fired(rule))
            known.rule = rule
        try:
            self._redact = Redactor(bundle.redactions)
        except (re.error, OverflowError, RecursionError) as error:
            raise RuleError(f"expected redactions of Python's re in the bundle: {error}") from error
        engine = _CountingEngine(bundle, self._settings.device_class, self._count)
        self._rerun.replace(engine, _CountingCorrelator(bundle, self._count))

    def feed(self, given: Input) -> None:
        """Tell one input and count what comes of it."""
        if isinstance(given, Observed):
            self.events += len(given.events)
            self.first_s = self.first_s or given.at_s
            self.last_s = given.at_s
        for append in self._rerun.feed(given):
            self._note_muting(append)

    def _count(self, rule: Rule | Correlation, fields: Mapping[str, str]) -> None:
        fired = self.fired[rule.rule_id]
        fired.count += 1
        if len(fired.examples) < MAX_EXAMPLES:
            wanted = rule.fields if isinstance(rule, Rule) else tuple(fields)
            shown = {
                name: self._redact(fields[name])[:MAX_EXAMPLE_CHARS]
                for name in wanted
                if fields.get(name)
            }
            fired.examples.append(Example(self._rerun.wall_s, shown))

    def _note_muting(self, append: Append) -> None:
        finding = append.incident.finding if append.incident is not None else None
        if finding is not None and finding.rule_id == _MUTED:
            fired = self.fired.get(finding.fields.get("Target", ""))
            if fired is not None:
                fired.muted += 1


_Count = Callable[[Rule | Correlation, Mapping[str, str]], None]


class _CountingEngine(Engine):
    def __init__(self, bundle: Bundle, device_class: str, count: _Count) -> None:
        super().__init__(bundle, device_class=device_class)
        self.on_match = count

    def match(self, category: str, fields: Mapping[str, str]) -> tuple[Rule, ...]:
        found = super().match(category, fields)
        for rule in found:
            self.on_match(rule, fields)
        return found


class _CountingCorrelator(Correlator):
    def __init__(self, bundle: Bundle, count: _Count) -> None:
        super().__init__(bundle.correlations)
        self.on_match = count

    def observe(
        self, rule_id: str, at_s: float, tier: str, fields: Mapping[str, str]
    ) -> list[Correlated]:
        found = super().observe(rule_id, at_s, tier, fields)
        for one in found:
            self.on_match(one.correlation, one.fields)
        return found
