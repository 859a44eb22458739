"""The journal as the daemon uses it (ports.journal.Journal): a thread of its own does the work.

Rule 1: the event loop never waits for the disk; it waits for a future that the thread resolves.
Rule 2: what was asked while a commit ran is written in the next one together: group commit.
Rule 3: without work and without a deadline the thread does not wake up.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from vedette.errors import StoreError
from vedette.model.journal import Entry, EntryDraft, Spent
from vedette.ports.journal import Extent, Journal, JournalStatus
from vedette.ports.signer import Signer
from vedette.ports.state import State
from vedette.store.journal_core import JournalCore
from vedette.store.journal_place import JournalPlace

_T = TypeVar("_T")

MAX_GROUP = 256
"""Drafts written in one commit at most, so that the first of them does not wait for the last."""


class _Job(NamedTuple):
    """`drafts` are appended with those of its neighbours; anything else is `work`."""

    future: asyncio.Future[Any]
    drafts: Sequence[EntryDraft]
    work: Callable[[], object] | None


class SqliteJournal(Journal):
    """The journal on the disk.

    Args:
        place: folders, limit and waiting times.
        state: keeps epoch and reservations; its calls are made in the journal's thread.
        signer: signs the frontier when old entries are pruned.
        on_report: told, in the event loop, what was found wrong while running, one line each: a
            damaged file set aside, a new epoch.
    """

    def __init__(
        self,
        place: JournalPlace,
        *,
        state: State,
        signer: Signer,
        on_report: Callable[[list[str]], None] = lambda _: None,
    ) -> None:
        self._core = JournalCore(place, state=state, signer=signer, wall=time.time)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._status = self._core.status()
        self._on_report = on_report
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._is_closed = False

    async def open(self) -> list[str]:
        """Open or begin the journal; never raises for what it finds on the disk."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return await self._ask(self._open)

    async def append(self, drafts: Sequence[EntryDraft]) -> list[Entry]:
        """Record drafts as one group; see ports.journal.Journal.append."""
        future = self._future()
        self._jobs.put(_Job(future, drafts, None))
        entries: list[Entry] = await future
        return entries

    async def outbox(self, after: int, limit: int) -> list[Entry]:
        """At most `limit` entries with a topic and a sequence above `after`, in order."""
        return await self._ask(lambda: self._core.outbox(after, limit))

    async def mark_delivered(self, sequence: int, spent: Spent) -> None:
        """Note what is delivered and spent, lazily; see ports.journal.Journal.mark_delivered."""
        await self._ask(lambda: self._core.mark_delivered(sequence, spent, time.monotonic()))

    async def entries(self, kind: str, limit: int) -> list[Entry]:
        """The newest entries of a kind ("" for all), newest first."""
        return await self._ask(lambda: self._core.entries(kind, limit))

    async def extent(self, epoch: int, size: int) -> Extent:
        """How far the journal is on the disk; see ports.journal.Journal.extent."""
        return await self._ask(lambda: self._core.extent(epoch, size))

    def status(self) -> JournalStatus:
        """Where it stands, without touching the disk."""
        return self._status

    async def close(self) -> None:
        """Write what is held back, then close. Safe to call twice."""
        if self._is_closed or self._loop is None:
            return
        closing = self._ask(lambda: self._core.close(time.monotonic()))
        self._is_closed = True
        await closing
        self._jobs.put(None)

    def _future(self) -> asyncio.Future[Any]:
        if self._loop is None or self._is_closed:
            raise StoreError("expected an open journal: call open() first, nothing after close()")
        return self._loop.create_future()

    def _ask(self, work: Callable[[], _T]) -> asyncio.Future[_T]:
        future = self._future()
        self._jobs.put(_Job(future, (), work))
        return future

    # in the thread

    def _open(self) -> list[str]:
        self._core.open(time.monotonic())
        reports, self._core.reports = self._core.reports, []
        return reports

    def _run(self) -> None:
        due_s: float | None = None
        while True:
            jobs = self._next_jobs(due_s)
            if jobs is None:
                return
            self._serve(jobs)
            outcome = self._attempt(lambda: self._core.tick(time.monotonic()))
            if isinstance(outcome, Exception):
                self._core.reports.append(f"journal: {type(outcome).__name__}: {outcome}")
            due_s = outcome if isinstance(outcome, float) else None
            self._publish()

    def _next_jobs(self, due_s: float | None) -> list[_Job] | None:
        """Wait for work or the deadline, then take all that is there; None ends the thread."""
        timeout = None if due_s is None else max(0.0, due_s - time.monotonic())
        found: list[_Job] = []
        try:
            job = self._jobs.get(timeout=timeout)
            while job is not None:
                found.append(job)
                if len(found) >= MAX_GROUP:
                    return found
                job = self._jobs.get_nowait()
        except queue.Empty:
            return found
        if found:
            self._jobs.put(None)
            return found
        return None

    def _serve(self, jobs: list[_Job]) -> None:
        """Work in order; neighbouring appends become one commit."""
        group: list[_Job] = []
        for job in jobs:
            if job.work is None:
                group.append(job)
                continue
            self._append(group)
            group = []
            self._resolve([job], self._attempt(job.work))
        self._append(group)

    def _append(self, group: list[_Job]) -> None:
        if not group:
            return
        drafts = [job.drafts for job in group]
        outcome = self._attempt(lambda: self._core.append(drafts, time.monotonic()))
        if isinstance(outcome, list):
            for job, entries in zip(group, outcome, strict=True):
                self._resolve([job], entries)
        else:
            self._resolve(group, outcome)

    def _attempt(self, work: Callable[[], object]) -> object:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - a broken invariant is raised where it was asked
            return error

    def _resolve(self, jobs: list[_Job], outcome: object) -> None:
        self._publish()
        for job in jobs:
            self._call(_settle, job.future, outcome)

    def _publish(self) -> None:
        self._status = self._core.status()
        if self._core.reports:
            reports, self._core.reports = self._core.reports, []
            self._call(self._on_report, reports)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call in the loop; a loop that is gone has nobody left who waits."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)


def _settle(future: asyncio.Future[Any], outcome: object) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
