"""The responses that were planned or hold, in memory and on the disk, with their remaining seconds.

Rule 1: the files are changed one after the other, in the order in which it was asked for.
Rule 2: remaining seconds are written every CHECKPOINT_S and at the end: after a power cut a
response lasts at most so much longer, and no clock has to be trusted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vedette.codec.kept_response import KeptResponse
from vedette.daemon.shell import now
from vedette.errors import StoreError
from vedette.model.response import Order, UndoRecord
from vedette.store.responses import ResponseStore

Result = TypeVar("Result")

CHECKPOINT_S = 600.0
"""Ours: a file of 1 KB each, for responses that last for hours."""


class KeptResponses:
    """What is kept; the names are response ids.

    Args:
        store: the files.
        boot: the kernel's boot id.
        report: told, for people, what the disk refused.
    """

    def __init__(self, store: ResponseStore, boot: str, report: Callable[[str], None]) -> None:
        self._store, self._boot, self._report = store, boot, report
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="responses")
        self._kept: dict[str, KeptResponse] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, response_id: str) -> KeptResponse | None:
        """One of them."""
        return self._kept.get(response_id)

    def all(self) -> Sequence[KeptResponse]:
        """Those there are now."""
        return tuple(self._kept.values())

    def left_s(self, kept: KeptResponse) -> float:
        """Seconds that are left of one; 0 until undone, negative when its time is over."""
        return kept.left_s(self._boot, now()[0])

    def is_of_this_boot(self, kept: KeptResponse) -> bool:
        """Whether the kernel may still have what it did."""
        return kept.boot == self._boot

    async def load(self) -> Sequence[KeptResponse]:
        """Read what an earlier run left."""
        found = await self._in_order(self._store.load)
        for problem in found.problems:
            self._report(problem)
        self._kept = {kept.order.response_id: kept for kept in found.kept}
        return found.kept

    async def add(self, order: Order, record: UndoRecord) -> None:
        """Keep a response before it is done; when this returns the record survives what may come.

        Raises:
            StoreError: neither disk nor memory took it.
        """
        kept = self._made(order, record)
        problem = await self._in_order(self._store.save, kept)
        self._kept[order.response_id] = kept
        if problem:
            self._report(problem)

    def note(self, order: Order, record: UndoRecord) -> None:
        """Keep a response in memory before it is done; `settle` brings it to the disk.

        May be called in any thread, before anybody else knows of the response.

        Raises:
            StoreError: neither memory nor disk took it.
        """
        kept = self._made(order, record)
        self._store.note(kept)
        self._kept[order.response_id] = kept

    async def settle(self, response_id: str) -> None:
        """Bring what was noted to the disk; nothing where nothing was."""
        kept = self._kept.get(response_id)
        if kept is not None:
            await self._replace(kept)

    async def extend(self, response_id: str, lasts_s: float) -> None:
        """It lasts for so many seconds from now; 0 until it is undone."""
        kept = self._kept.get(response_id)
        if kept is not None:
            until_s = now()[0] + lasts_s if lasts_s else 0.0
            await self._replace(kept._replace(until_s=until_s, remaining_s=lasts_s))

    async def forget(self, response_id: str) -> None:
        """Nothing of it is left to undo."""
        if self._kept.pop(response_id, None) is None:
            return
        try:
            await self._in_order(self._store.remove, response_id)
        except StoreError as error:
            self._report(str(error))

    async def checkpoint(self) -> None:
        """Write what is left of each."""
        for kept in self.all():
            left_s = self.left_s(kept)
            if left_s > 0.0 and kept.order.response_id in self._kept:
                until_s = now()[0] + left_s
                await self._replace(
                    kept._replace(boot=self._boot, until_s=until_s, remaining_s=left_s)
                )

    def close(self) -> None:
        """End the thread once what was asked is written."""
        self._disk.shutdown(wait=True)

    def _made(self, order: Order, record: UndoRecord) -> KeptResponse:
        return KeptResponse(order, record, self._boot, now()[0] + order.lasts_s, order.lasts_s)

    async def _replace(self, kept: KeptResponse) -> None:
        self._kept[kept.order.response_id] = kept
        try:
            problem = await self._in_order(self._store.save, kept)
        except StoreError as error:
            problem = str(error)
        if problem:
            self._report(problem)

    async def _in_order(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)
