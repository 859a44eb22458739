"""Checks: one at a time, at their period, and at once for whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from vedette.daemon.checks import Checks
from vedette.errors import RequestError
from vedette.model.event import EventClass, TierChanged

CHANGED = TierChanged(1.0, "good", EventClass.FILE, "bad", "blind")


class Proof:
    """A check that ends when it is let go."""

    def __init__(self) -> None:
        self.asked: list[bool] = []
        self.is_begun = asyncio.Event()
        self.gate = asyncio.Event()

    async def __call__(self, is_asked: bool) -> Sequence[TierChanged]:  # noqa: FBT001
        self.asked.append(is_asked)
        self.is_begun.set()
        await self.gate.wait()
        return [CHANGED]


def test_nobody_has_to_ask() -> None:
    async def story() -> None:
        proof = Proof()
        proof.gate.set()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(Checks(proof, period_s=0.001).run())
            await proof.is_begun.wait()
            proof.is_begun.clear()
            await proof.is_begun.wait()
            running.cancel()
        assert proof.asked[:2] == [False, False]

    asyncio.run(story())


def test_who_asks_during_a_check_gets_a_whole_one_of_the_next() -> None:
    async def story() -> None:
        proof = Proof()
        checks = Checks(proof, period_s=60)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(checks.run())
            first = group.create_task(checks.ask())
            await proof.is_begun.wait()
            second, third = (group.create_task(checks.ask()) for _ in range(2))
            await asyncio.sleep(0)
            proof.gate.set()
            assert [await first, await second, await third] == [[CHANGED]] * 3
            assert proof.asked == [True, True]
            running.cancel()

    asyncio.run(story())


def test_who_asks_at_the_end_is_told_so() -> None:
    async def story() -> None:
        proof = Proof()
        checks = Checks(proof, period_s=60)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(checks.run())
            asking = [group.create_task(_refused(checks))]
            await proof.is_begun.wait()
            asking.append(group.create_task(_refused(checks)))
            await asyncio.sleep(0)
            running.cancel()
        assert [task.result() for task in asking] == [True, True]

    asyncio.run(story())


async def _refused(checks: Checks) -> bool:
    with pytest.raises(RequestError, match="stops"):
        await checks.ask()
    return True
