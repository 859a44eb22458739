"""Defence: from a finding to the responses that are asked for, and what becomes of them.

Rule 1: asked for at the match itself, never after a question: containment is a matter of
milliseconds.
Rule 2: nothing on the list of what is never touched is touched, whoever asks; a playbook enforces
only if it was promoted (core/response_modes.py), within its budgets.
Rule 3: what holds ends: at its time, unless a person has confirmed it; at once, when an essential
function went down with it, and its playbook observes from then on.
Rule 4: every response, refusal and undo is an entry of the journal and an action of its incident.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from math import inf
from typing import NamedTuple, assert_never

from vedette.core import aims
from vedette.core.active_responses import Active, ActiveResponses, identity
from vedette.core.commands import Command, Keep, Probe, Promote, Release, Respond, Undo
from vedette.core.essentials import Essentials
from vedette.core.findings import AgentSettings, Claim, Findings, Sighting
from vedette.core.inputs import (
    Confirmed,
    DefenceInput,
    EssentialProbed,
    Guarded,
    ModeOrdered,
    Ordered,
    PlaybooksLoaded,
    Responded,
    Resumed,
    UndoOrdered,
)
from vedette.core.process_table import ProcessTable
from vedette.core.response_budgets import ResponseBudgets
from vedette.core.response_log import ResponseLog
from vedette.core.response_modes import ResponseModes
from vedette.core.untouchable import Untouchable
from vedette.model.event import EventClass
from vedette.model.finding import Severity
from vedette.model.playbook import Playbook, Step
from vedette.model.response import Mode, Order, Outcome, ResponseStatus, Target

RETRY_S = 60.0
MAX_RETRIES = 5
"""An undo that failed is tried again: the disk may be full, a unit busy."""


class Defence:
    """The responses of one agent.

    Args:
        settings: who decides, and how far its owner lets it go.
        findings: takes what it has to say, and gives it every match.
        commands: where orders to the shell go.

    Attributes:
        modes: the playbooks in force and what each of them may do.
        untouchable: what is never touched.
        active: responses that are not over, in the order they were asked for.
    """

    def __init__(
        self,
        settings: AgentSettings,
        findings: Findings,
        processes: ProcessTable,
        commands: list[Command],
    ) -> None:
        self._settings, self._findings = settings, findings
        self._processes, self._commands = processes, commands
        self.modes = ResponseModes(
            settings.device_class, settings.response_profile, settings.response_mode
        )
        self.untouchable = Untouchable(processes)
        self.active = ActiveResponses()
        self._log = ResponseLog(findings, commands)
        self._budgets = ResponseBudgets()
        self._essentials = Essentials()
        self._number = 0

    def handle(self, given: DefenceInput) -> None:
        """Take what is told about playbooks, operators' wishes, outcomes and probes."""
        match given:
            case PlaybooksLoaded():
                self.modes.load(given.playbooks, given.promotions)
            case Guarded():
                self.untouchable.learn(given)
            case Ordered():
                self._ordered(given)
            case UndoOrdered():
                self._undo_ordered(given)
            case Confirmed():
                self._confirmed(given)
            case ModeOrdered():
                self._mode_ordered(given)
            case Responded():
                self._responded(given)
            case Resumed():
                self._resumed(given)
            case EssentialProbed():
                self._probed(given)
            case _:
                assert_never(given)

    def found(self, claim: Claim, seen: Sighting, incident: Callable[[], str]) -> None:
        """Something was found: ask for what its playbooks say; `incident` gives its id."""
        for playbook in self.modes.playbooks_for(claim.rule_id, claim.tags, claim.severity):
            for step in playbook.steps:
                target = aims.target_of(step, seen, self._processes)
                mode = self.modes.mode_of(playbook, step.responder)
                if target is None or self.active.is_in_hand(
                    step.responder, target, mode, seen.at_s
                ):
                    continue
                self._answer(_Answer(playbook, step, mode, target, claim, incident()), seen.at_s)

    def _ordered(self, given: Ordered) -> None:
        """An operator's verified command; budgets are for playbooks, the list is for all."""
        why = self.why_not(given.order)
        if why:
            self._log.outcome(given.order, Outcome(ResponseStatus.REFUSED, why, {}), given.at_s)
        else:
            self._ask(given.order, given.at_s)

    def _responded(self, given: Responded) -> None:
        """What came of a response or its undo; one that is not known is only recorded."""
        active = self.active.get(given.response_id)
        if active is None:
            return
        self._log.outcome(active.order, given.outcome, given.at_s, is_undo=given.is_undo)
        if given.is_undo:
            self._undone(active, given)
        elif given.outcome.status in {ResponseStatus.DONE, ResponseStatus.PARTLY}:
            self._done(active, given.at_s)
        else:
            if given.outcome.status is ResponseStatus.OBSERVED:
                self.active.observed(active.order, given.at_s)
            self._essentials.undone(given.response_id)
            self._forget(active)

    def _resumed(self, given: Resumed) -> None:
        """What holds from before a restart."""
        for order, remaining_s in given.held:
            until_s = given.at_s + remaining_s if remaining_s else inf
            self.active.add(Active(order, "held", until_s))

    def _undo_ordered(self, given: UndoOrdered) -> None:
        """Somebody wants a response undone before its time."""
        active = self.active.get(given.response_id)
        if active is not None:
            active.is_forgiven = True
            self._undo(active, f"asked for by {given.by}")

    def _confirmed(self, given: Confirmed) -> None:
        """Somebody wants a response to last."""
        active = self.active.get(given.response_id)
        if active is not None and active.state != "undoing":
            active.until_s = given.at_s + given.lasts_s if given.lasts_s else inf
            self._log.confirmed(active.order, given)
            self._commands.append(Keep(given.response_id, given.lasts_s))

    def _mode_ordered(self, given: ModeOrdered) -> None:
        """An operator promotes or demotes a playbook."""
        for playbook in self.modes.named(given.playbook, given.mode):
            self._promote(playbook, given.mode, f"asked for by {given.by}")

    def _probed(self, given: EssentialProbed) -> None:
        """What a probe of an essential function found."""
        verdict = self._essentials.probed(given.name, given.at_s, is_up=given.is_up)
        if not verdict.is_news:
            return
        for order in verdict.suspects:
            self._blame(order, given)
        fields = {"Target": given.name, "Reason": given.detail}
        if given.is_up:
            title = "An essential function works again"
            self._report("essential-up", title, Severity.LOW, given.at_s, fields)
        elif not verdict.suspects:
            title = "An essential function does not work"
            self._report("essential-down", title, Severity.HIGH, given.at_s, fields)

    def why_not(self, order: Order) -> str:
        """Why an operator's order would be refused now, "" when it would be carried out."""
        if self._settings.response_mode is Mode.OBSERVE:
            return "this device only observes: [response] mode in its configuration"
        if order.response_id in self.active:
            return "this order was given before"
        return self.untouchable.why(order.responder, order.target) or self.active.why_full()

    def tick(self, at_s: float) -> None:
        """Undo what nobody confirmed in its time."""
        for active in self.active.due(at_s):
            self._undo(active, "its time is over and nobody confirmed it")

    def next_s(self) -> float | None:
        """When `tick` has something to do next, or None."""
        return self.active.next_s()

    def _answer(self, answer: _Answer, at_s: float) -> None:
        spent = self._spend(answer, at_s)
        if spent:
            self._tell_spent(spent, at_s)
            return
        order = self._order(answer, at_s)
        why = self.untouchable.why(order.responder, order.target) or self.active.why_full()
        if why:
            self._log.outcome(order, Outcome(ResponseStatus.REFUSED, why, {}), at_s)
        else:
            self._ask(order, at_s)

    def _spend(self, answer: _Answer, at_s: float) -> tuple[object, ...]:
        """Count it in its budgets; observing counts too, so that it says what would be done."""
        playbook, responder = answer.playbook, answer.step.responder
        return self._budgets.take(
            at_s,
            (("playbook", playbook.name), playbook.per_hour),
            (("responder", responder), self.modes.per_hour(responder)),
            (("target", responder, identity(answer.target)), playbook.per_target),
        )

    def _order(self, answer: _Answer, at_s: float) -> Order:
        self._number += 1
        step, target = answer.step, aims.with_kin(answer.target, self._processes)
        who = f"{self._settings.device}|{self._settings.boot}"
        text = f"{who}|{self._number}|{step.responder}|{answer.target!a}|{at_s:.6f}"
        return Order(
            response_id=hashlib.sha256(text.encode()).hexdigest()[:16],
            responder=step.responder,
            target=target,
            mode=answer.mode,
            cause=answer.claim.rule_id,
            incident_id=answer.incident_id,
            playbook=answer.playbook.name,
            lasts_s=float(min(step.lasts_s, self.modes.longest_s(step.responder))),
        )

    def _ask(self, order: Order, at_s: float) -> None:
        self.active.add(Active(order, "asked", at_s + order.lasts_s))
        if order.mode is Mode.ENFORCE:
            self._essentials.acted(order, at_s)
        self._commands.append(Respond(order))

    def _done(self, active: Active, at_s: float) -> None:
        if active.order.lasts_s:
            active.state, active.until_s = "held", at_s + active.order.lasts_s
        else:
            self._forget(active)
        if active.unwanted:
            self._undo(active, active.unwanted)
        if self._essentials.are_known:
            self._commands.append(Probe(f"after {active.order.responder}"))

    def _undone(self, active: Active, given: Responded) -> None:
        order, outcome = active.order, given.outcome
        if outcome.status is ResponseStatus.UNDONE:
            self._essentials.undone(order.response_id)
            self.active.spare(active, given.at_s)
            self._forget(active)
            return
        active.retries += 1
        active.state = "held"
        active.until_s = given.at_s + RETRY_S if active.retries <= MAX_RETRIES else inf
        fields = {"Target": order.response_id, "Reason": outcome.detail, "Action": order.responder}
        title = "A response could not be undone"
        self._report("response-stuck", title, Severity.HIGH, given.at_s, fields)

    def _undo(self, active: Active, reason: str) -> None:
        if active.state == "held":
            active.state = "undoing"
            self._commands.append(Undo(active.order.response_id, reason))
        elif active.state == "asked":
            active.unwanted = reason

    def _forget(self, active: Active) -> None:
        self.active.remove(active)
        self._commands.append(Release(active.order.response_id))

    def _blame(self, order: Order, given: EssentialProbed) -> None:
        active = self.active.get(order.response_id)
        if active is not None:
            self._undo(active, f"{given.name} does not work since then")
        playbook = self.modes.in_force(order.playbook)
        if playbook is not None:
            self._promote(playbook, Mode.OBSERVE, f"a response of it broke {given.name}")
        fields = {
            "Target": given.name, "Reason": given.detail, "Action": order.responder,
            "Response": order.response_id, "Playbook": order.playbook,
        }  # fmt: skip
        title = "A response broke an essential function: it was undone, and its playbook observes"
        self._report("response-broke-essential", title, Severity.CRITICAL, given.at_s, fields)

    def _promote(self, playbook: Playbook, mode: Mode, reason: str) -> None:
        promotion = self.modes.decide(playbook, mode, reason)
        self._commands.append(Promote(playbook.name, playbook.digest, promotion))

    def _tell_spent(self, spent: tuple[object, ...], at_s: float) -> None:
        kind, *names = spent
        fields = {"Target": str(names[0]), "Reason": f"the {kind}'s hour is used up"}
        title = "A budget of responses is used up: nothing is done about more of the same"
        self._report("response-budget", title, Severity.HIGH, at_s, fields)

    def _report(
        self, condition: str, title: str, severity: Severity, at_s: float, fields: dict[str, str]
    ) -> None:
        seen = Sighting(EventClass.AGENT, "agent", at_s, fields, None)
        self._findings.of_ours(condition, title, severity, seen)


class _Answer(NamedTuple):
    """One step of a playbook against one target."""

    playbook: Playbook
    step: Step
    mode: Mode
    target: Target
    claim: Claim
    incident_id: str
