"""Drills: harmless attacks on ourselves, followed from the event to the rule.

Rule 1: a finding is a drill's only if its rule says so by its tag *and* it holds the random word or
address of the drill that runs, or ran last. Rules of drills match nothing but drills, so whoever
learns the word hides nothing behind it; every other rule speaks as always.
Rule 2: a drill's finding is no incident; a drill as a whole is one routine entry of the journal.
Rule 3: what was expected and did not come is a finding, one for each class of events or rules; so
is a response that could be carried out at the drill before and cannot now. One that this device
never could is no news: `vedette doctor` says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vedette.codec.ocsf import canonical
from vedette.codec.strict_json import Json
from vedette.core.commands import Append, Command
from vedette.core.findings import Findings, Sighting
from vedette.core.inputs import DrillBegun, DrillEnded, Rehearsed
from vedette.model.event import EventClass
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft

TAG = "vedette.drill"
"""Of the rules that match drills and nothing else (rules/drill)."""
KIND = "drill"
CORRELATION = "correlation"
"""What stands for a category where a correlation was met."""


class Seen(NamedTuple):
    """An event of the drill, as its class's source told it; `after_s` since the drill began."""

    tier: str
    after_s: float


class Drill:
    """One drill: what it plays and what of it came."""

    def __init__(self, begun: DrillBegun) -> None:
        self.begun = begun
        self.seen: dict[str, Seen] = {}
        self.matched: dict[str, str] = {}

    def missing(self) -> list[str]:
        """Expected categories of which no event came."""
        return [step for step in self.begun.expected if step not in self.seen]

    def unmatched(self, ruled: Sequence[str]) -> list[str]:
        """Categories whose event came, and no rule matched though there is one for it."""
        found = {step: step in self.matched for step in self.seen}
        if {"process_creation", "kernel_activity"} <= self.seen.keys():
            found[CORRELATION] = CORRELATION in self.matched
        return [step for step, is_matched in found.items() if step in ruled and not is_matched]

    def holds(self, fields: Mapping[str, str]) -> bool:
        """Whether an event is this drill's."""
        word, address = self.begun.word, self.begun.address
        return any(word in value or value == address for value in fields.values())


class Drills:
    """The drill that runs, if one does.

    Args:
        findings: take what was missed.
        commands: where entries go.

    Attributes:
        running: None between drills.
        before: the one that ended last: some sources tell late, and what they tell is still its.
    """

    def __init__(self, findings: Findings, commands: list[Command]) -> None:
        self._findings, self._commands = findings, commands
        self.running: Drill | None = None
        self.before: Drill | None = None
        self._ready: set[str] = set()

    def begin(self, given: DrillBegun) -> None:
        """Follow what is played from now on."""
        self.running = Drill(given)

    def look(self, category: str, tier: str, at_s: float, fields: Mapping[str, str]) -> None:
        """An event is judged while a drill runs."""
        drill = self.running
        step = category.partition(":")[0]
        if drill is not None and step not in drill.seen and drill.holds(fields):
            drill.seen[step] = Seen(tier, max(0.0, at_s - drill.begun.at_s))

    def take(self, rule_id: str, category: str, seen: Sighting) -> bool:
        """Whether a match of a drill's rule is a drill of ours; it is told nowhere else then.

        Args:
            category: of the rule; CORRELATION for one.
        """
        for drill in (self.running, self.before):
            if drill is not None and drill.holds(seen.fields):
                drill.matched.setdefault(category.partition(":")[0], rule_id)
                return True
        return False

    def end(self, given: DrillEnded, ruled: Sequence[str]) -> None:
        """Record what came and tell what did not; `ruled` are categories with a drill rule."""
        drill, self.running = self.running, None
        if drill is None:
            return
        self.before = drill
        missing, unmatched = drill.missing(), drill.unmatched(ruled)
        self._record(drill, given, ruled, missing=missing, unmatched=unmatched)
        self._tell_unready(given)
        if given.is_final:
            for step in missing:
                title = "A drill's event was not seen: this class is watched by a blind source"
                tier = drill.begun.expected[step]
                self._tell("drill-missed", title, step, f"{tier} did not tell of it", given.at_s)
            for step in unmatched:
                title = "A drill's event was seen, and its rule did not match"
                self._tell("drill-unmatched", title, step, "its rule did not match", given.at_s)

    def _tell_unready(self, given: DrillEnded) -> None:
        for one in given.responses:
            if not one.is_ready and one.responder in self._ready:
                title = "A response could not be carried out any more if it were needed"
                self._tell("drill-unready", title, one.responder, one.detail, given.at_s)
        tried = {one.responder for one in given.responses}
        ready = {one.responder for one in given.responses if one.is_ready}
        self._ready = (self._ready - tried) | ready

    def _record(
        self,
        drill: Drill,
        given: DrillEnded,
        ruled: Sequence[str],
        *,
        missing: Sequence[str],
        unmatched: Sequence[str],
    ) -> None:
        steps: dict[str, Json] = {
            step: {
                "tier": seen.tier, "after_ms": round(seen.after_s * 1000),
                "rule": drill.matched.get(step, "") if step in ruled else None,
            }
            for step, seen in drill.seen.items()
        }  # fmt: skip
        body: dict[str, Json] = {
            "reason": drill.begun.reason,
            "word": drill.begun.word,
            "seen": steps,
            "missed": [*missing],
            "unmatched": [*unmatched],
            "correlation": drill.matched.get(CORRELATION, ""),
            "not_played": dict(given.not_played),
            "responses": [_plain(one) for one in given.responses],
            "took_ms": round((given.at_s - drill.begun.at_s) * 1000),
        }
        entry = EntryDraft(
            KIND, Severity.INFORMATIONAL, given.wall_s, canonical(body), "", "", is_routine=True
        )
        self._commands.append(Append(entry, None))

    def _tell(self, condition: str, title: str, step: str, reason: str, at_s: float) -> None:
        fields = {"Target": step, "Reason": reason}
        severity = Severity.MEDIUM if condition == "drill-unready" else Severity.HIGH
        seen = Sighting(EventClass.AGENT, "agent", at_s, fields, None)
        self._findings.of_ours(condition, title, severity, seen)


def _plain(one: Rehearsed) -> Json:
    return {"responder": one.responder, "ready": one.is_ready, "detail": one.detail}
