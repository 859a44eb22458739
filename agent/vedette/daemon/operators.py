"""Operators' commands on a device: judged, carried out, and answered with a receipt each.

Rule 1: the gate (trust/operator_gate.py) decides first, and its numbers are on the disk before
anything is done; what may be done is an entry of the journal before it is done.
Rule 2: a refused command is a finding, and is answered as well: at most REFUSALS_BURST at once and
one each REFUSAL_REFILL_S, since whoever can write on our topic can send as many as he likes.
Rule 3: what waits is bounded; what is dropped is counted and is a finding.
Rule 4: a command that waits for something slow (a disk, a process that does not end) holds up no
other one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol, assert_never

from vedette.codec import command as codec
from vedette.codec import ocsf, receipt, topics
from vedette.codec.strict_json import Json
from vedette.core import orders
from vedette.core.inputs import Confirmed, ModeOrdered
from vedette.daemon.shell import Shell, now
from vedette.errors import RequestError, StoreError
from vedette.model.command import Command, Receipt, ReceiptStatus
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft
from vedette.model.response import Order, Outcome, ResponseStatus
from vedette.trust.operator_gate import OperatorGate, RefusedCommandError

if TYPE_CHECKING:
    from vedette.daemon.evidence import Evidence

MAX_WAITING = 32
MAX_AT_ONCE = 8
ANSWER_TIMEOUT_S = 60.0
"""Longer than any responder may take, its undo record on a slow flash included."""
REFUSALS_BURST = 8
REFUSAL_REFILL_S = 10.0
_MESSAGE_BYTES = 1500
"""What a publication costs beside its body: topic, attributes, signature."""

_STATUS: Mapping[ResponseStatus, ReceiptStatus] = {
    ResponseStatus.DONE: ReceiptStatus.DONE,
    ResponseStatus.UNDONE: ReceiptStatus.DONE,
    ResponseStatus.PARTLY: ReceiptStatus.PARTLY,
    ResponseStatus.REFUSED: ReceiptStatus.REFUSED,
    ResponseStatus.OBSERVED: ReceiptStatus.FAILED,
    ResponseStatus.FAILED: ReceiptStatus.FAILED,
}


class Responses(Protocol):
    """What carries orders out (daemon/responding.py)."""

    async def ask(self, order: Order) -> Outcome:
        """Have an order carried out, or refused by the core."""

    async def ask_undo(self, response_id: str, by: str) -> Outcome:
        """Have a response undone."""


class Answer(NamedTuple):
    """What a command came to."""

    status: ReceiptStatus
    detail: str
    facts: Mapping[str, str]


class Operators:
    """Takes what was published for this device.

    Args:
        gate: decides which commands may be carried out.
        shell: leads to core and journal.
        responses: carries orders out.
        evidence: makes what answers `collect`; 0.2 MB that most devices never need.
        largest_bytes: the largest packet that the broker takes now, 0 while nobody knows.
        ask_update: asks for an update by somebody, or to go back with a kind; says why not, or "".
    """

    def __init__(
        self,
        gate: OperatorGate,
        *,
        shell: Shell,
        responses: Responses,
        evidence: Callable[[], Evidence],
        largest_bytes: Callable[[], int],
        ask_update: Callable[[str, str], Awaitable[str]],
    ) -> None:
        self._ask_update = ask_update
        self._gate, self._shell = gate, shell
        self._responses, self._evidence = responses, evidence
        self._largest_bytes = largest_bytes
        self._waiting: deque[bytes] = deque()
        self._has_work = asyncio.Event()
        self._room = asyncio.Semaphore(MAX_AT_ONCE)
        self._lost = 0
        self._refusals = float(REFUSALS_BURST)
        self._refilled_s = 0.0
        self.refused = 0
        self.accepted = 0

    def hear(self, data: bytes, lost: int) -> None:
        """Take bytes that somebody published for this device, and how many were lost before."""
        self._lost += lost
        if data and len(self._waiting) < MAX_WAITING:
            self._waiting.append(data)
        elif data:
            self._lost += 1
        self._has_work.set()

    async def run(self) -> None:
        """Judge and carry out until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._has_work.wait()
                self._has_work.clear()
                self._tell_lost()
                while self._waiting:
                    await self._room.acquire()
                    task = group.create_task(self._answer(self._waiting.popleft()))
                    task.add_done_callback(lambda _: self._room.release())

    async def _answer(self, data: bytes) -> None:
        try:
            command = await asyncio.to_thread(self._gate.accept, data, now()[1])
        except RefusedCommandError as error:
            self._refuse(data, error)
            return
        except StoreError as error:
            words = f"its number could not be kept, so nothing was done: {error}"
            answer = Answer(ReceiptStatus.FAILED, words, {})
            self._send_receipt(codec.digest(data), codec.decode(data), answer)
            return
        self.accepted += 1
        self._record(data, command)
        self._send_receipt(codec.digest(data), command, await self._carried_out(command))

    async def _carried_out(self, command: Command) -> Answer:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self._do(command)
        except RequestError as error:
            return Answer(ReceiptStatus.FAILED, str(error), {})
        except TimeoutError:
            words = f"no outcome within {ANSWER_TIMEOUT_S:g} s; the journal will have it"
            return Answer(ReceiptStatus.FAILED, words, {})

    async def _do(self, command: Command) -> Answer:
        wish = orders.read(command, self._shell.agent.processes)
        match wish:
            case orders.Do():
                return await self._respond(wish)
            case orders.Lift():
                return await self._lift(wish, command.origin)
            case orders.Decide():
                return self._decide(wish, command.origin)
            case orders.Acknowledge():
                return await self._acknowledge(wish, command.origin)
            case orders.Collect():
                return await self._collect(wish, codec.digest(codec.encode(command)))
            case orders.Renew():
                return await self._renew(wish, command.origin)
            case _:
                assert_never(wish)

    async def _respond(self, wish: orders.Do) -> Answer:
        order = wish.order
        outcome = await self._responses.ask(order)
        is_done = outcome.status in {ResponseStatus.DONE, ResponseStatus.PARTLY}
        if is_done and wish.is_confirmed:
            self._shell.tell(Confirmed(*now(), order.response_id, 0.0, order.cause))
        facts = {"response": order.response_id}
        if is_done and order.responder != "kill":
            facts["lasts_s"] = "0" if wish.is_confirmed else f"{order.lasts_s:g}"
        return Answer(_STATUS[outcome.status], outcome.detail, facts)

    async def _lift(self, wish: orders.Lift, by: str) -> Answer:
        held = [active.order for active in self._shell.agent.defence.active.values()]
        ids = orders.lifted(wish, held)
        if not ids:
            return Answer(ReceiptStatus.DONE, "nothing of the kind is in force", {})
        outcomes = [await self._responses.ask_undo(response_id, by) for response_id in ids]
        worst = max((_STATUS[outcome.status] for outcome in outcomes), key=_badness)
        words = "; ".join(dict.fromkeys(outcome.detail for outcome in outcomes))
        return Answer(worst, words, {"responses": " ".join(ids)})

    def _decide(self, wish: orders.Decide, by: str) -> Answer:
        modes = self._shell.agent.defence.modes
        playbooks = modes.named(wish.playbook, wish.mode)
        if not playbooks:
            raise RequestError(
                f"no playbook in force is named {wish.playbook}; see: vedette playbooks show"
            )
        self._shell.tell(ModeOrdered(*now(), wish.playbook, wish.mode, by))
        words = [f"{one.name}: {modes.decided(one)}" for one in playbooks]
        is_done = all(modes.decided(one) is wish.mode for one in playbooks)
        status = ReceiptStatus.DONE if is_done else ReceiptStatus.FAILED
        return Answer(status, ", ".join(words), {"mode": str(wish.mode)})

    async def _acknowledge(self, wish: orders.Acknowledge, by: str) -> Answer:
        if not await self._evidence().is_known(wish.incident_id):
            raise RequestError(f"the journal has no incident {wish.incident_id} (any more)")
        confirmed = [
            response_id
            for response_id, active in self._shell.agent.defence.active.items()
            if active.order.incident_id == wish.incident_id
        ]
        for response_id in confirmed:
            self._shell.tell(Confirmed(*now(), response_id, float(wish.lasts_s), by))
        self._append("acknowledged", {"by": by, "confirmed": [*confirmed]}, "", wish.incident_id)
        until = f"for {wish.lasts_s} s" if wish.lasts_s else "until somebody undoes them"
        words = f"seen; {len(confirmed)} responses last {until}" if confirmed else "seen"
        return Answer(ReceiptStatus.DONE, words, {"responses": " ".join(confirmed)})

    async def _collect(self, wish: orders.Collect, command: str) -> Answer:
        from vedette.codec import evidence as parts_codec  # noqa: PLC0415 (as `evidence`)

        document = await self._evidence().collect(wish.incident_id, now()[1])
        room = (self._largest_bytes() - _MESSAGE_BYTES) * 3 // 4
        size = min(parts_codec.PART_BYTES, room) if room > 0 else parts_codec.PART_BYTES
        parts = await asyncio.to_thread(
            parts_codec.split, document, command=command, incident=wish.incident_id, part_bytes=size
        )
        for part in parts:
            self._append("collected", part, topics.COLLECTED, wish.incident_id)
        facts = {"parts": str(len(parts)), "sha256": str(parts[0]["sha256"])}
        return Answer(ReceiptStatus.DONE, f"sent in {len(parts)} parts", facts)

    async def _renew(self, wish: orders.Renew, by: str) -> Answer:
        reason = await self._ask_update(by, wish.rollback)
        if reason:
            raise RequestError(reason)
        words = f"going back with {wish.rollback}" if wish.rollback else "looking for releases"
        words += ": each step follows as a message of its own"
        return Answer(ReceiptStatus.DONE, words, {})

    def _refuse(self, data: bytes, error: RefusedCommandError) -> None:
        self.refused += 1
        command = error.command
        fields = {
            "Action": command.verb if command is not None else "",
            "Target": str(command.audience) if command is not None else "",
            "Signed": "by an operator" if error.is_signed else "by nobody we know",
            "Reason": str(error),
        }
        title = "A command was refused"
        self._shell.report("command-refused", title, Severity.HIGH, fields)
        if self._may_answer_refusal():
            answer = Answer(ReceiptStatus.REFUSED, str(error), {})
            self._send_receipt(codec.digest(data), command, answer)

    def _may_answer_refusal(self) -> bool:
        at_s = now()[0]
        more = (at_s - self._refilled_s) / REFUSAL_REFILL_S
        self._refusals = min(float(REFUSALS_BURST), self._refusals + more)
        self._refilled_s = at_s
        if self._refusals < 1.0:
            return False
        self._refusals -= 1.0
        return True

    def _tell_lost(self) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            fields = {
                "Reason": f"{lost} were dropped: too many at once, or too large for a command"
            }
            title = "Commands for this device were dropped unread"
            self._shell.report("commands-lost", title, Severity.HIGH, fields)

    def _record(self, data: bytes, command: Command) -> None:
        about: dict[str, Json] = {
            "command": codec.digest(data),
            "by": [f"{a.key_id[:16]}:{a.number}" for a in command.approvals],
            "audience": str(command.audience),
            "verb": command.verb,
            "arguments": dict(command.arguments),
        }
        self._append("command", about, "", orders.incident_of(command))

    def _send_receipt(self, digest: str, command: Command | None, answer: Answer) -> None:
        found = Receipt(
            digest,
            command.origin if command is not None else "",
            command.verb if command is not None else "",
            answer.status,
            self._shell.agent.redact(answer.detail),
            answer.facts,
        )
        # What a refused one names may be a stranger's invention.
        is_refused = answer.status is ReceiptStatus.REFUSED
        incident = "" if is_refused else orders.incident_of(command)
        self._append("receipt", receipt.plain(found), topics.RECEIPT, incident)

    def _append(self, kind: str, body: Mapping[str, Json], topic: str, incident_id: str) -> None:
        self._shell.append(
            EntryDraft(
                kind, Severity.HIGH, now()[1], ocsf.canonical(body), topic, incident_id,
                is_routine=False,
            )
        )  # fmt: skip


def _badness(status: ReceiptStatus) -> int:
    order = (
        ReceiptStatus.DONE, ReceiptStatus.PARTLY, ReceiptStatus.REFUSED, ReceiptStatus.FAILED,
    )  # fmt: skip
    return order.index(status)
