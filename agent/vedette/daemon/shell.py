"""Carries out what the core asks: looks things up, records, wakes it again.

Rule 1: `observe` is the hot path: one synchronous call from a sensor's batch to the commands.
Rule 2: nothing here decides what an event means, and nothing in the core waits.
Rule 3: what is recorded goes through one bounded queue; when it is full the routine entries go
first, and the loss is counted.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from vedette.core.agent import Agent
from vedette.core.commands import (
    Append,
    Command,
    Continue,
    DefenceCommand,
    Rescan,
    Resolve,
    SettleRules,
    Wake,
)
from vedette.core.engine import Stopwatch
from vedette.core.inputs import (
    Continued,
    Input,
    LookedUp,
    Observed,
    Reported,
    Resolved,
    RulesLoaded,
    RuleSlow,
    Seeded,
    Stopping,
    Swept,
    Ticked,
    UsersChanged,
)
from vedette.core.recording import encode_input
from vedette.daemon import facts
from vedette.model.event import Event, EventClass, EventsLost
from vedette.model.finding import Incident, Severity
from vedette.model.journal import Entry, EntryDraft
from vedette.model.rule import Bundle
from vedette.ports.journal import Journal

MAX_DRAFTS = 2048
"""A second of a disk that stalls, at the worst rate the incident budgets allow."""
MAX_GROUP = 256
USERS_FILE = "/etc/passwd"


class Shell:
    """The core's hands and eyes.

    Args:
        agent: the core.
        journal: takes the entries.
        on_recorded: told after each durable group, with its entries.
        on_rescan: begins a comparison with the baseline, for a reason.
        record: where every input is written as well, or None.

    Attributes:
        on_defence: carries out what the core asks of the responders (daemon/responding.py).
        on_settled: takes how the trial of a bundle ended.
    """

    def __init__(
        self,
        agent: Agent,
        journal: Journal,
        on_recorded: Callable[[Sequence[Entry], Sequence[Incident]], None],
        on_rescan: Callable[[str], None],
        record: BinaryIO | None = None,
    ) -> None:
        self.agent = agent
        agent.detection.stopwatch = Stopwatch(time.perf_counter, time.thread_time)
        self._journal = journal
        self._on_recorded = on_recorded
        self._on_rescan = on_rescan
        self._record = record
        self.on_defence: Callable[[DefenceCommand], None] = lambda _command: None
        self.on_settled: Callable[[SettleRules], None] = lambda _command: None
        self._facts = facts.Facts()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="facts")
        self._questions: deque[Resolve] = deque()
        self._drafts: deque[Append] = deque()
        self._has_question = asyncio.Event()
        self._has_draft = asyncio.Event()
        self._is_prepared = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._passwd_mtime_ns = 0

    def observe(self, events: Sequence[Event]) -> None:
        """Take a batch of events from a sensor."""
        unknown = self.agent.unknown_pids(events)
        if unknown:
            found = facts.lookup_chains(unknown, self.agent.processes)
            if found:
                self.tell(LookedUp(*now(), found))
        self.tell(Observed(*now(), tuple(events)))
        for slow in self.agent.detection.take_slow():
            self.tell(RuleSlow(*now(), slow.rule_id, slow.took_s))

    def report(
        self,
        condition: str,
        title: str,
        severity: Severity,
        fields: Mapping[str, str] | None = None,
        pid: int = 0,
        tags: tuple[str, ...] = (),
    ) -> None:
        """Let the core make a finding about the agent itself; `pid` is who did it, 0: unknown."""
        if pid and pid not in self.agent.processes:
            found = facts.lookup_chains({pid: now()[0]}, self.agent.processes)
            if found:
                self.tell(LookedUp(*now(), found))
        self.tell(Reported(*now(), condition, title, severity, dict(fields or {}), pid, tags))

    def note(
        self,
        kind: str,
        body: bytes,
        severity: Severity = Severity.INFORMATIONAL,
        *,
        is_routine: bool = False,
    ) -> None:
        """Record something that is no finding: a start, a reload, a control request."""
        self.append(EntryDraft(kind, severity, time.time(), body, "", "", is_routine))

    def append(self, draft: EntryDraft) -> None:
        """Record this behind what waits already."""
        self._append(Append(draft, None))

    async def load_rules(self, bundle: Bundle, *, is_trial: bool = False) -> None:
        """Let the core take a bundle into use; returns when it judges by it.

        Until then it judges by the one before, and the loop is never held up for long. How the
        trial of one that is tried ends is told to `on_settled`.
        """
        self._is_prepared.clear()
        self.tell(RulesLoaded(*now(), bundle, is_trial))
        if self.agent.detection.is_preparing:
            await self._is_prepared.wait()

    def tell(self, given: Input) -> None:
        """Give the core one input and begin what it asks for."""
        if self._record is not None:
            self._record.write(encode_input(given))
        for command in self.agent.handle(given):
            self._carry_out(command)

    def seed(self) -> None:
        """Tell the core which processes and users there are now."""
        self.tell(Seeded(*now(), facts.snapshot(), self._users()))

    def sweep(self) -> None:
        """Tell the core which pids are alive, and the users if they changed."""
        self.tell(Swept(*now(), frozenset(facts.pids())))
        if _mtime_ns(USERS_FILE) != self._passwd_mtime_ns:
            self.tell(UsersChanged(*now(), self._users()))

    async def run(self) -> None:
        """Answer questions and write entries until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._answer())
            group.create_task(self._write())

    async def stop(self) -> None:
        """Close the incidents and write what waits; `run` must have been cancelled before."""
        self.tell(Stopping(*now()))
        if self._timer is not None:
            self._timer.cancel()
        while self._drafts:
            await self._write_group()
        if self._record is not None:
            self._record.close()
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _users(self) -> dict[int, str]:
        self._passwd_mtime_ns = _mtime_ns(USERS_FILE)
        return facts.users()

    def _carry_out(self, command: Command) -> None:
        match command:
            case Append():
                self._append(command)
            case Resolve():
                self._questions.append(command)
                self._has_question.set()
            case Wake(at_s):
                self._wake(at_s)
            case Rescan(reason):
                self._on_rescan(reason)
            case Continue():
                # In the next round of the loop: what the sensors have by then is taken as well.
                asyncio.get_running_loop().call_soon(self._continue)
            case SettleRules():
                self.on_settled(command)
            case _:
                self.on_defence(command)

    def _append(self, command: Append) -> None:
        if len(self._drafts) >= MAX_DRAFTS and not self._make_room(command):
            return
        self._drafts.append(command)
        self._has_draft.set()

    def _make_room(self, wanted: Append) -> bool:
        """Drop the least severe waiting entry; False when that is the wanted one itself."""
        least = min(self._drafts, key=lambda waiting: waiting.draft.severity)
        lost = EventsLost(
            now()[0], "agent", EventClass.AGENT, "journal-queue", 1, True, "the disk is too slow"
        )
        self.agent.ledger.lose(lost)
        if least.draft.severity >= wanted.draft.severity:
            return False
        self._drafts.remove(least)
        return True

    def _wake(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay_s = max(0.0, at_s - now()[0])
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _continue(self) -> None:
        self.tell(Continued(*now()))
        if not self.agent.detection.is_preparing:
            self._is_prepared.set()

    def _tick(self) -> None:
        self._timer = None
        self.tell(Ticked(*now()))

    async def _answer(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._has_question.wait()
            self._has_question.clear()
            while self._questions:
                question = self._questions.popleft()
                details = await loop.run_in_executor(
                    self._worker, self._facts.resolve, question.subjects
                )
                self.tell(Resolved(*now(), question.ticket, details))

    async def _write(self) -> None:
        while True:
            await self._has_draft.wait()
            self._has_draft.clear()
            while self._drafts:
                await self._write_group()

    async def _write_group(self) -> None:
        group = [self._drafts.popleft() for _ in range(min(len(self._drafts), MAX_GROUP))]
        entries = await self._journal.append([command.draft for command in group])
        incidents = [command.incident for command in group if command.incident is not None]
        self._on_recorded(entries, incidents)


def now() -> tuple[float, float]:
    """CLOCK_BOOTTIME and wall time, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME), time.time()


def _mtime_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - no need for a Path
    except OSError:
        return 0
