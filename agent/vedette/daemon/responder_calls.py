"""Calls responders in threads, each within its time; whatever happens there ends as an outcome.

Rule 1: urgent responders without an undo, which kill, have threads of their own.
Rule 2: one that does not come back in its time may still do what it was asked: that is PARTLY done,
so that it is undone later, never FAILED.
Rule 3: a responder that raises what its port forbids has failed; the agent goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from vedette.errors import ResponseError, StoreError
from vedette.model.response import Mode, Order, Outcome, ResponseStatus, Target, UndoRecord
from vedette.ports.responder import Responder

Result = TypeVar("Result")

URGENT_THREADS = 2
OTHER_THREADS = 2
"""One that hangs until its time limit must not keep the next one waiting."""
GRACE_S = 1.0
"""A responder is given so much more time than it says it needs."""
MAX_DETAIL = 500


class Responders(NamedTuple):
    """The responders of this device, by their names.

    Attributes:
        disabled: why each of the others cannot be used.
    """

    usable: Mapping[str, Responder]
    disabled: Mapping[str, str]

    def targets(self) -> dict[str, type[Target]]:
        """What each usable one acts on."""
        return {name: responder.target_type for name, responder in self.usable.items()}

    def for_order(self, order: Order) -> Responder:
        """Who carries an order out.

        Raises:
            ResponseError: nobody does here, or not against such a target, or not without an end.
        """
        responder = self.usable.get(order.responder)
        if responder is None:
            why = self.disabled.get(order.responder, "there is no such responder")
            raise ResponseError(f"{order.responder}: {why}")
        if not isinstance(order.target, responder.target_type):
            raise ResponseError(
                f"{order.responder}: expected a {responder.target_type.__name__}, got a "
                f"{type(order.target).__name__}"
            )
        if responder.has_undo and not order.lasts_s:
            raise ResponseError(f"{order.responder}: expected to hear how long it lasts, got 0 s")
        return responder


class ResponderCalls:
    """The threads that responders run in."""

    def __init__(self) -> None:
        self._urgent = ThreadPoolExecutor(URGENT_THREADS, thread_name_prefix="urgent")
        self._others = ThreadPoolExecutor(OTHER_THREADS, thread_name_prefix="response")

    def strike(
        self, responder: Responder, order: Order, note: Callable[[Order, UndoRecord], None]
    ) -> asyncio.Future[Outcome]:
        """Plan and act in one go, begun before this returns: for what is urgent.

        Args:
            note: keeps in between what an undo will need; called in another thread.
        """
        threads = self._others if responder.has_undo else self._urgent
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(threads, _strike, responder, order, note)

    async def struck(self, responder: Responder, blow: asyncio.Future[Outcome]) -> Outcome:
        """What came of `strike`."""
        try:
            async with asyncio.timeout(responder.timeout_s + GRACE_S):
                return await blow
        except TimeoutError:
            return _hanging(responder)

    async def plan(self, responder: Responder, order: Order) -> UndoRecord:
        """What its undo will need.

        Raises:
            ResponseError: it cannot or may not be done.
        """
        return await self._call(responder, _plan, responder, order)

    async def act(self, responder: Responder, order: Order, record: UndoRecord) -> Outcome:
        """Do it."""
        return await self._outcome(responder, responder.act, order, record)

    async def undo(self, responder: Responder, order: Order, record: UndoRecord) -> Outcome:
        """Bring back what was."""
        return await self._outcome(responder, responder.undo, order, record)

    async def leave(self, responder: Responder, order: Order, record: UndoRecord) -> str:
        """The agent ends; returns why the kernel could not be left as it was, or ""."""
        try:
            await self._call(responder, _caught, responder.leave, order, record)
        except ResponseError as error:
            return f"{order.responder} {order.response_id}: {error}"
        except TimeoutError:
            return f"{order.responder} {order.response_id}: it did not come back in its time"
        return ""

    async def holds(self, responder: Responder, order: Order, record: UndoRecord) -> bool:
        """Whether what was done is still in force; one that cannot tell says so by not raising."""
        try:
            return await self._call(responder, _caught, responder.holds, order, record)
        except (ResponseError, TimeoutError):
            return False

    def close(self) -> None:
        """End the threads; what hangs is left behind."""
        self._urgent.shutdown(wait=False, cancel_futures=True)
        self._others.shutdown(wait=False, cancel_futures=True)

    async def _outcome(
        self,
        responder: Responder,
        work: Callable[[Order, UndoRecord], Outcome],
        order: Order,
        record: UndoRecord,
    ) -> Outcome:
        try:
            return await self._call(responder, _caught, work, order, record)
        except ResponseError as error:
            return failed(str(error))
        except TimeoutError:
            return _hanging(responder)

    async def _call(
        self, responder: Responder, work: Callable[..., Result], *arguments: object
    ) -> Result:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(responder.timeout_s + GRACE_S):
            return await loop.run_in_executor(self._others, work, *arguments)


def failed(detail: str) -> Outcome:
    """Nothing holds."""
    return Outcome(ResponseStatus.FAILED, detail[:MAX_DETAIL], {})


def _hanging(responder: Responder) -> Outcome:
    limit_s = responder.timeout_s + GRACE_S
    detail = f"it did not come back within {limit_s:g} s: it may have been done, or be done yet"
    return Outcome(ResponseStatus.PARTLY, detail, {})


def _strike(
    responder: Responder, order: Order, note: Callable[[Order, UndoRecord], None]
) -> Outcome:
    try:
        record = _plan(responder, order)
        if responder.has_undo:
            note(order, record)
        return _caught(responder.act, order, record)
    except (ResponseError, StoreError) as error:
        return failed(str(error))


def _plan(responder: Responder, order: Order) -> UndoRecord:
    why = _caught(responder.unavailable) if order.mode is Mode.OBSERVE else ""
    if why:
        raise ResponseError(why)
    return _caught(responder.plan, order)


def _caught(work: Callable[..., Result], *arguments: object) -> Result:
    """Call what only ResponseError may leave; anything else becomes one."""
    try:
        return work(*arguments)
    except ResponseError:
        raise
    except Exception as error:  # a port: whoever breaks its rule fails alone
        raise ResponseError(f"{type(error).__name__}: {error}") from error
