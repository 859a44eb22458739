"""Carries out what the core asks of the responders, and tells it what came of it.

Rule 1: the plan is an entry of the journal before anything is done. A responder acts once entry and
undo record are on the disk; an urgent one, whose work is gone with the power, acts at once: its
entry goes into the same queue before its outcome does, so the two are synced together and never
change places, and its undo record is in memory before it acts (ADR 0019).
Rule 2: every order ends in an outcome, and every outcome is told.
Rule 3: what holds is looked at again; what somebody took away is put back, and that is a finding.
Rule 4: of one response, undoing and putting back never run at the same time.
Rule 5: at a regular end the kernel is left as it was found; what still has time is done again at
the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, assert_never

from vedette.codec.kept_response import KeptResponse
from vedette.codec.response import plain_record
from vedette.core.commands import DefenceCommand, Keep, Probe, Promote, Release, Respond, Undo
from vedette.core.inputs import Held, Ordered, Responded, Resumed, UndoOrdered
from vedette.core.response_log import draft
from vedette.daemon.kept_responses import KeptResponses
from vedette.daemon.responder_calls import ResponderCalls, Responders, failed
from vedette.daemon.shell import Shell, now
from vedette.errors import ResponseError, StoreError
from vedette.model.finding import Severity
from vedette.model.response import Mode, Order, Outcome, ResponseStatus
from vedette.ports.journal import Journal
from vedette.ports.responder import Responder
from vedette.store.responses import ResponseStore

EXPIRED_S = 0.001
"""Left of a response whose time was over before this start: the core ends it at once."""
END_S = 3.0
"""What responses under way have at the end of the agent."""
NO_RECORD = "there is no record of it: nothing of it is left to undo"


class Responding:
    """The responders at work.

    Args:
        shell: leads to the core.
        journal: takes the plans of what must not be done before they are on the disk.
        responders: who carries out what.
        store: keeps undo records.
        boot: the kernel's boot id.
        on_promote: keeps a decision about a playbook.

    Attributes:
        on_probe: begins a probe of the essential functions, for a reason.
        resumed: what holds from before was told.
    """

    def __init__(
        self,
        shell: Shell,
        journal: Journal,
        responders: Responders,
        store: ResponseStore,
        *,
        boot: str,
        on_promote: Callable[[Promote], None],
    ) -> None:
        self._shell, self._journal = shell, journal
        self.responders = responders
        self._calls = ResponderCalls()
        self.kept = KeptResponses(store, boot, self._records_problem)
        self._on_promote = on_promote
        self.on_probe: Callable[[str], None] = lambda _reason: None
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._is_closing = False
        self.resumed = asyncio.Event()
        self._turns: dict[str, asyncio.Lock] = {}
        self._waiting: dict[tuple[str, bool], asyncio.Future[Outcome]] = {}

    def carry_out(self, command: DefenceCommand) -> None:
        """Begin what the core asks for; returns at once."""
        if self._is_closing:
            return
        match command:
            case Respond(order):
                self._begin(order)
            case Undo(response_id, reason):
                self._spawn(self._undo(response_id, reason))
            case Keep(response_id, lasts_s):
                self._spawn(self.kept.extend(response_id, lasts_s))
            case Release(response_id):
                self._turns.pop(response_id, None)
                self._spawn(self.kept.forget(response_id))
            case Promote():
                self._on_promote(command)
            case Probe(reason):
                self.on_probe(reason)
            case _:
                assert_never(command)

    async def ask(self, order: Order) -> Outcome:
        """Have the core carry out or refuse an operator's order; returns what came of it."""
        why = self._shell.agent.defence.why_not(order)
        answer = self._await(order.response_id, is_undo=False)
        self._shell.tell(Ordered(*now(), order))
        if why:
            self._answer(order.response_id, Outcome(ResponseStatus.REFUSED, why, {}))
        return await answer

    async def rehearse(self, order: Order) -> Outcome:
        """Whether an order could be carried out now; nothing is done, and nothing recorded."""
        try:
            responder = self.responders.for_order(order)
        except ResponseError as error:
            return failed(str(error))
        return await self._rehearsed(responder, order)

    async def ask_undo(self, response_id: str, by: str) -> Outcome:
        """Have a response undone for somebody; returns what came of it."""
        active = self._shell.agent.defence.active.get(response_id)
        if active is None:
            return Outcome(ResponseStatus.REFUSED, f"no response {response_id} is in force", {})
        answer = self._await(response_id, is_undo=True)
        self._shell.tell(UndoOrdered(*now(), response_id, by))
        return await answer

    async def _resume(self) -> None:
        """Tell the core what holds from before, and begin to put back what has time left."""
        kept = await self.kept.load()
        held = tuple(Held(one.order, self._left_s(one)) for one in kept)
        if held:
            self._shell.tell(Resumed(*now(), held))
        self._spawn(self._put_all_back([one for one in kept if self._left_s(one) != EXPIRED_S]))

    async def _put_all_back(self, kept: Sequence[KeptResponse]) -> None:
        for one in kept:
            await self._put_back(one, is_start=True)

    async def look(self) -> None:
        """Put back what somebody took away."""
        for one in self.kept.all():
            await self._put_back(one, is_start=False)

    async def run(self) -> None:
        """Carry out until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await self._resume()
            self.resumed.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    async def close(self) -> list[str]:
        """Finish what is under way and leave the kernel as it was found; returns what could not be.

        `run` must still go on, so that outcomes are told.
        """
        self._is_closing = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=END_S)
            for task in late:  # its order is on record: the next start takes it up
                task.cancel()
        await self.kept.checkpoint()
        problems = [await self._leave(one) for one in self.kept.all()]
        self._calls.close()
        self.kept.close()
        return [problem for problem in problems if problem]

    # one order

    def _begin(self, order: Order) -> None:
        try:
            responder = self.responders.for_order(order)
        except ResponseError as error:
            asyncio.get_running_loop().call_soon(self._tell, order, failed(str(error)))
            return
        if order.mode is Mode.OBSERVE:
            self._spawn(self._observe(responder, order))
        elif responder.is_urgent:
            self._shell.append(draft(order, now()[1], "plan", {}))
            blow = self._calls.strike(responder, order, self.kept.note)
            self._spawn(self._struck(responder, order, blow))
        else:
            self._spawn(self._respond(responder, order))

    async def _struck(
        self, responder: Responder, order: Order, blow: asyncio.Future[Outcome]
    ) -> None:
        outcome = await self._calls.struck(responder, blow)
        await self.kept.settle(order.response_id)
        self._tell(order, outcome)

    async def _observe(self, responder: Responder, order: Order) -> None:
        self._tell(order, await self._rehearsed(responder, order))

    async def _rehearsed(self, responder: Responder, order: Order) -> Outcome:
        try:
            await self._calls.plan(responder, order)
        except ResponseError as error:
            return failed(f"it could not be done: {error}")
        except TimeoutError:
            return failed("planning it took too long")
        return Outcome(ResponseStatus.OBSERVED, "it would be done", {})

    async def _respond(self, responder: Responder, order: Order) -> None:
        try:
            record = await self._calls.plan(responder, order)
            plan = draft(order, now()[1], "plan", {"record": plain_record(record)})
            if responder.has_undo:
                await asyncio.gather(self.kept.add(order, record), self._journal.append([plan]))
            else:
                await self._journal.append([plan])
        except (ResponseError, StoreError) as error:
            outcome = failed(str(error))
        except TimeoutError:
            outcome = failed("planning it took too long")
        else:
            outcome = await self._calls.act(responder, order, record)
        self._tell(order, outcome)

    async def _undo(self, response_id: str, reason: str) -> None:
        kept = self.kept.get(response_id)
        if kept is None:
            self._tell_undo(response_id, Outcome(ResponseStatus.UNDONE, NO_RECORD, {}))
            return
        order, record = kept.order, kept.record
        try:
            responder = self.responders.for_order(order)
        except ResponseError as error:
            self._tell_undo(response_id, failed(str(error)))
            return
        await self._journal.append([draft(order, now()[1], "undo", {"reason": reason})])
        async with self._turn(response_id):
            outcome = await self._calls.undo(responder, order, record)
        self._tell_undo(response_id, outcome)

    def _tell(self, order: Order, outcome: Outcome) -> None:
        self._shell.tell(Responded(*now(), order.response_id, False, outcome))
        self._answer(order.response_id, outcome)

    def _tell_undo(self, response_id: str, outcome: Outcome) -> None:
        self._shell.tell(Responded(*now(), response_id, True, outcome))
        self._answer(response_id, outcome, is_undo=True)

    # what holds

    def _left_s(self, kept: KeptResponse) -> float:
        left_s = self.kept.left_s(kept)
        responder = self.responders.usable.get(kept.order.responder)
        is_gone = not self.kept.is_of_this_boot(kept) and not (
            responder is not None and responder.outlives_reboot
        )
        return EXPIRED_S if left_s < 0.0 or is_gone else left_s

    async def _put_back(self, kept: KeptResponse, *, is_start: bool) -> None:
        order, record = kept.order, kept.record
        responder = self.responders.usable.get(order.responder)
        if responder is None:
            return
        async with self._turn(order.response_id):
            active = self._shell.agent.defence.active.get(order.response_id)
            if active is None or active.state != "held":
                return
            if await self._calls.holds(responder, order, record):
                return
            if not is_start:
                self._report_removed(order)
            outcome = await self._calls.act(responder, order, record)
        if outcome.status not in {ResponseStatus.DONE, ResponseStatus.PARTLY}:
            self._tell(order, outcome)

    def _turn(self, response_id: str) -> asyncio.Lock:
        return self._turns.setdefault(response_id, asyncio.Lock())

    async def _leave(self, kept: KeptResponse) -> str:
        responder = self.responders.usable.get(kept.order.responder)
        if responder is None:
            return ""
        return await self._calls.leave(responder, kept.order, kept.record)

    def _report_removed(self, order: Order) -> None:
        self._shell.report(
            "response-removed", "A response was taken away by somebody, and was put back",
            Severity.CRITICAL,
            {"Target": order.response_id, "Action": order.responder},
        )  # fmt: skip

    def _records_problem(self, problem: str) -> None:
        self._shell.report(
            "response-records", "Undo records cannot be kept as they should be", Severity.HIGH,
            {"Reason": problem},
        )  # fmt: skip

    # tasks and those who wait

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            work.close()
            raise RuntimeError("expected responses to be asked for only while they are carried out")
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _await(self, response_id: str, *, is_undo: bool) -> asyncio.Future[Outcome]:
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        return self._waiting.setdefault((response_id, is_undo), answer)

    def _answer(self, response_id: str, outcome: Outcome, *, is_undo: bool = False) -> None:
        answer = self._waiting.pop((response_id, is_undo), None)
        if answer is not None and not answer.done():
            answer.set_result(outcome)
