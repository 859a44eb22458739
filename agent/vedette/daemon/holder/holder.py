"""Answers the kernel's question whether a file may be executed.

Rule 1: every event that was read is answered before the next are read, within DEADLINE_S; whoever
cannot be judged in that time is let go, and that is told as a gap.
Rule 2: one thread, no asyncio, no typing: it is small, and nothing it waits for can hold it but
the disk, for which there is the guardian.
Rule 3: a verdict is kept only while nobody has the file open for writing (a lease proves it), and
is forgotten when it is written to or closed by a writer.
"""

from __future__ import annotations

import os
import select
from time import monotonic

from vedette.codec.exec_events import (
    ALLOW,
    CLOSE_WRITE,
    DENY,
    NO_DESCRIPTOR,
    OPEN_EXEC_PERM,
    Q_OVERFLOW,
    encode_answer,
    parse_events,
)
from vedette.codec.holder_orders import ASK, COMMIT, MESSAGE_BYTES, Draft
from vedette.codec.holder_reports import Alive, Decision, InUse
from vedette.core.denial import ALLOWED, Policy
from vedette.daemon.holder.calls import Calls, give_back, lease
from vedette.daemon.holder.content import Reading, identity, is_at, moment, path_of
from vedette.daemon.holder.heart import BEAT_S, Heart
from vedette.daemon.holder.marks import KEPT_MAX, Marks
from vedette.daemon.holder.teller import GAPS_S, Teller
from vedette.model.denial import (
    NO_DIGEST,
    OVERLOADED,
    QUEUE_FULL,
    TOO_BIG,
    UNLISTED_OBSERVED,
    UNREADABLE,
    Lists,
)

DEADLINE_S = 0.1
"""From the reading of an event to its answer; people notice nothing below it."""
READ_BYTES = 64 * 24
"""64 events: as many descriptors are open at once, far below the limit past which the kernel
denies what it cannot open for us."""
INLINE_BYTES = 8 << 20
"""A larger file is not read while somebody waits."""
AFTER_MAX = 4
"""Files that are hashed afterwards, each an open descriptor."""
AFTER_SLICE_S = 0.005

Known = tuple[tuple[int, int, int], int, bytes]
"""The moment of a file, the reason against it, its digest."""


class Holder:
    """The loop.

    Args:
        group: the fanotify group, nonblocking.
        socket: to the sentinel.
        heart: to the guardian.
    """

    def __init__(self, calls: Calls, group: int, socket: int, heart: Heart) -> None:
        self._group = group
        self._socket = socket
        self._heart = heart
        self._marks = Marks(calls, group)
        self._teller = Teller(socket)
        self._draft = Draft()
        self._policy = Policy(Lists())
        self._known: dict[tuple[int, int], Known] = {}
        self._after: list[tuple[Reading, int, str]] = []
        self._asked = self._denied = self._hashed = 0
        self._is_wanted = True
        self._poll = select.poll()
        self._poll.register(group, select.POLLIN)
        self._poll.register(socket, select.POLLIN)

    def run(self) -> None:
        """Answer until the sentinel is gone."""
        while self._is_wanted:
            ready = self._poll.poll(self._wait_ms())
            at_s = monotonic()
            for descriptor, _ in ready:
                if descriptor == self._group:
                    self._heart.beat(at_s)
                    self._answer_all(at_s + DEADLINE_S)
                else:
                    self._take_order()
            if not ready:
                self._use_pause(at_s)
            self._teller.tell_gaps(at_s)
        self._heart.end()

    def _wait_ms(self) -> float | None:
        if self._after:
            return 0
        if self._heart.is_busy:
            return BEAT_S * 1000
        return GAPS_S * 1000 if self._teller.has_gaps else None

    def _use_pause(self, at_s: float) -> None:
        """Nobody waits: hash what was let go unjudged, or rest."""
        if self._after:
            self._heart.beat(at_s)
            self._go_on_after(at_s + AFTER_SLICE_S)
        elif self._heart.is_busy:
            self._heart.rest()

    def _answer_all(self, due_s: float) -> None:
        try:
            events = parse_events(os.read(self._group, READ_BYTES))
        except BlockingIOError:
            return
        for mask, descriptor, pid in events:
            if descriptor == NO_DESCRIPTOR:
                if mask & Q_OVERFLOW:
                    self._teller.missed(QUEUE_FULL)
                continue
            if mask & OPEN_EXEC_PERM:
                self._answer(descriptor, pid, due_s)
            elif mask & CLOSE_WRITE:
                self._written(descriptor)
            os.close(descriptor)

    def _answer(self, descriptor: int, pid: int, due_s: float) -> None:
        """Judge and answer; whatever goes wrong, there is an answer."""
        self._asked += 1
        answer = ALLOW
        try:
            answer = self._judge(descriptor, pid, due_s)
        except OSError:
            self._teller.missed(UNREADABLE)
        finally:
            self._send(descriptor, answer)

    def _send(self, descriptor: int, answer: int) -> None:
        try:
            os.write(self._group, encode_answer(descriptor, answer))
        except FileNotFoundError:
            return  # the guardian was faster

    def _judge(self, descriptor: int, pid: int, due_s: float) -> int:
        status = os.fstat(descriptor)
        file = identity(status)
        if file in self._marks.essential:
            self._marks.pass_essential(descriptor)
            return ALLOW
        known = self._known.get(file)
        if known is not None and known[0] == moment(status):
            return self._verdict(known[1], descriptor, pid, status, known[2])
        if monotonic() >= due_s:
            self._teller.missed(OVERLOADED)
            return ALLOW
        path = path_of(descriptor)
        lists = self._policy.lists
        if path in lists.essential and is_at(path, file):
            self._marks.essential[file] = path
            self._marks.pass_essential(descriptor)
            return ALLOW
        reason = self._policy.by_path(path)
        if reason or (path in lists.allowed_paths and is_at(path, file)):
            return self._settle(reason, descriptor, pid, status, NO_DIGEST)
        if not self._policy.needs_digest(status.st_size):
            return self._settle(self._policy.unread(), descriptor, pid, status, NO_DIGEST)
        return self._judge_content(descriptor, pid, status, due_s)

    def _judge_content(
        self, descriptor: int, pid: int, status: os.stat_result, due_s: float
    ) -> int:
        if status.st_size > INLINE_BYTES:
            self._let_go(TOO_BIG, Reading(descriptor, status), pid)
            return ALLOW
        is_leased = lease(descriptor)
        try:
            reading = Reading(descriptor, status)
            if not reading.go_on(due_s):
                self._let_go(OVERLOADED, reading, pid)
                return ALLOW
            self._hashed += 1
            reason = self._policy.by_digest(reading.digest)
            if is_leased and reading.is_unchanged():
                self._remember(reason, descriptor, status, reading.digest)
        finally:
            if is_leased:
                give_back(descriptor)
        return self._verdict(reason, descriptor, pid, status, reading.digest)

    def _settle(
        self, reason: int, descriptor: int, pid: int, status: os.stat_result, digest: bytes
    ) -> int:
        """A verdict that needed no content: it holds until the file changes."""
        self._remember(reason, descriptor, status, digest)
        return self._verdict(reason, descriptor, pid, status, digest)

    def _verdict(
        self, reason: int, descriptor: int, pid: int, status: os.stat_result, digest: bytes
    ) -> int:
        if reason == ALLOWED:
            return ALLOW
        path = path_of(descriptor)
        decision = Decision(reason, pid, 1, status.st_size, digest, path, is_late=False)
        self._teller.decided(identity(status), decision)
        if reason == UNLISTED_OBSERVED:
            return ALLOW
        self._denied += 1
        return DENY

    def _remember(
        self, reason: int, descriptor: int, status: os.stat_result, digest: bytes
    ) -> None:
        """Keep a verdict; the kernel keeps it too where the file may run."""
        if len(self._known) >= KEPT_MAX:
            del self._known[next(iter(self._known))]
        self._known[identity(status)] = (moment(status), reason, digest)
        if reason in {ALLOWED, UNLISTED_OBSERVED}:
            self._marks.keep(descriptor)

    def _written(self, descriptor: int) -> None:
        self._known.pop(identity(os.fstat(descriptor)), None)
        self._marks.drop(descriptor)

    def _let_go(self, gap: int, reading: Reading, pid: int) -> None:
        """Allow without a verdict, and hash it after, as far as there is room."""
        self._teller.missed(gap)
        if len(self._after) < AFTER_MAX:
            path = path_of(reading.descriptor)
            reading.descriptor = os.dup(reading.descriptor)  # the event's own is closed
            self._after.append((reading, pid, path))

    def _go_on_after(self, until_s: float) -> None:
        reading, pid, path = self._after[0]
        try:
            if not reading.go_on(until_s):
                return
            self._judge_after(reading, pid, path)
        except OSError:
            self._teller.missed(UNREADABLE)
        del self._after[0]
        os.close(reading.descriptor)

    def _judge_after(self, reading: Reading, pid: int, path: str) -> None:
        self._hashed += 1
        descriptor, status = reading.descriptor, reading.status
        reason = self._policy.by_digest(reading.digest)
        is_leased = lease(descriptor)
        try:
            if is_leased and reading.is_unchanged():
                self._remember(reason, descriptor, status, reading.digest)
        finally:
            if is_leased:
                give_back(descriptor)
        if reason != ALLOWED:
            decision = Decision(reason, pid, 1, status.st_size, reading.digest, path, is_late=True)
            self._teller.decided(identity(status), decision)

    def _take_order(self) -> None:
        try:
            message = os.read(self._socket, MESSAGE_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            message = b""
        if not message:
            self._is_wanted = False
            return
        kind, number = self._draft.take(message)
        if kind == COMMIT:
            self._use(self._draft.lists, number)
        elif kind == ASK:
            self._teller.tell(
                Alive(number, self._asked, self._denied, self._hashed, self._marks.kept)
            )

    def _use(self, lists: Lists, generation: int) -> None:
        self._policy = Policy(lists)
        self._known = {}
        marked, problems = self._marks.use(lists, has_work=self._policy.has_work)
        is_cached = self._marks.is_cached
        self._teller.tell(InUse(generation, marked, problems, is_cached=is_cached))
