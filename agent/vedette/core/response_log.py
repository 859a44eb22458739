"""What is recorded of responses: an entry of the journal each, and an action of their incident.

Rule: the plan, written by the shell before anything is done, is an entry of the same kind; the
order stands in every one of them, so that each can be read alone.
"""

from __future__ import annotations

from vedette.codec.response import plain_order, plain_outcome, target_words
from vedette.codec.strict_json import Json, canonical
from vedette.core.commands import Append, Command
from vedette.core.findings import Findings
from vedette.core.inputs import Confirmed
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft
from vedette.model.response import Mode, Order, Outcome

KIND = "response"


class ResponseLog:
    """Records.

    Args:
        findings: tell the incidents.
        commands: where entries go.
    """

    def __init__(self, findings: Findings, commands: list[Command]) -> None:
        self._findings, self._commands = findings, commands

    def outcome(
        self, order: Order, outcome: Outcome, at_s: float, *, is_undo: bool = False
    ) -> None:
        """What came of a response or of its undo."""
        phase = "undone" if is_undo else "outcome"
        self._append(order, at_s, phase, plain_outcome(outcome))
        what = f"{order.responder} {target_words(order.target)}"
        words = f"{what}: {outcome.status}, {outcome.detail}"
        self._findings.acted(order.incident_id, words, at_s)

    def confirmed(self, order: Order, given: Confirmed) -> None:
        """Somebody wants it to last."""
        about: dict[str, Json] = {"by": given.by, "until": given.lasts_s}
        self._append(order, given.at_s, "confirmed", about)

    def _append(self, order: Order, at_s: float, phase: str, about: dict[str, Json]) -> None:
        wall_s = at_s + self._findings.offset_s
        self._commands.append(Append(draft(order, wall_s, phase, about), None))


def draft(order: Order, wall_s: float, phase: str, about: dict[str, Json]) -> EntryDraft:
    """An entry about a response.

    Args:
        phase: "plan", "outcome", "undo", "undone" or "confirmed".
        about: what is said beside the order.
    """
    is_observed = order.mode is Mode.OBSERVE
    return EntryDraft(
        kind=KIND,
        severity=Severity.INFORMATIONAL if is_observed else Severity.HIGH,
        wall_s=wall_s,
        body=canonical({**plain_order(order), **about, "phase": phase}),
        topic="",
        incident_id=order.incident_id,
        is_routine=is_observed,
    )
