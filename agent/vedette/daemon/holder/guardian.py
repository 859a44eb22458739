"""Frees everybody who waits for a verdict when the holder stops answering, whatever stopped it.

Rule 1: it opens nothing, executes nothing and its memory is locked: it needs neither the disk nor
a verdict to go on.
Rule 2: the order of `free` decides. Flushing the marks and answering do not depend on the holder's
state; killing it frees nobody while it is frozen, and closing our copy frees nobody while the
holder has its own.
Rule 3: it wakes up only while somebody waits.
"""

from __future__ import annotations

import os
import select
from time import monotonic

from vedette.codec.exec_events import (
    ALLOW,
    NO_DESCRIPTOR,
    OPEN_EXEC_PERM,
    encode_answer,
    parse_events,
)
from vedette.codec.holder_reports import Freed, encode_report
from vedette.daemon.holder.calls import (
    FAN_MARK_FILESYSTEM,
    FAN_MARK_INODE,
    FAN_MARK_MOUNT,
    SIGKILL,
    Calls,
)
from vedette.daemon.holder.heart import BUSY, ENDED, IDLE

ENDED_WELL = "the holder ended as it was asked to"
SILENT_S = 0.4
"""What the holder has for a sign of life; with the time to free them everybody is free in 0.5 s."""
DESCRIPTORS_MAX = 256
"""The holder's limit of open files: answers go by their numbers."""
READ_BYTES = 32 * 24
LINGER_MS = 20
"""For those who had asked before the marks were gone and were queued after."""
PASSES_MAX = 64
KINDS = (FAN_MARK_FILESYSTEM, FAN_MARK_MOUNT, FAN_MARK_INODE)
"""Those that ask first: without the marks of essential files those would ask too."""


class Guardian:
    """The guardian of one holder.

    Args:
        group: our copy of the group (nonblocking).
        pipe: our end of the holder's pipe (nonblocking).
        socket: to the sentinel, for the last words.
    """

    def __init__(self, calls: Calls, group: int, pipe: int, socket: int) -> None:
        self._calls = calls
        self._group = group
        self._pipe = pipe
        self._socket = socket
        self._answers = [encode_answer(number, ALLOW) for number in range(DESCRIPTORS_MAX)]
        self._beats = select.poll()
        self._beats.register(pipe, select.POLLIN)
        self._beats.register(socket, 0)  # only that the other end is gone
        self._asked = select.poll()
        self._asked.register(group, select.POLLIN)
        self._all = select.poll()
        for descriptor, mask in ((pipe, select.POLLIN), (socket, 0), (group, select.POLLIN)):
            self._all.register(descriptor, mask)

    def rehearse(self) -> None:
        """Go through all that freeing needs once, so that it is in memory; there are no marks."""
        encode_report(self._free(0, "rehearsal"))
        os.kill(os.getpid(), 0)

    def run(self, holder: int) -> int:
        """Watch a child of ours until it ends or is silent; returns the exit code."""
        why = self._watch()
        report = self._free(holder, why)
        if why != ENDED_WELL:
            self._tell(report)
        return 0 if why == ENDED_WELL else 1

    def _watch(self) -> str:
        """Returns why the holder is no longer to be waited for."""
        due_s: float | None = None
        while True:
            if due_s is None:
                ready = dict(self._all.poll())
                if self._group in ready:
                    due_s = monotonic() + SILENT_S
            else:
                ready = dict(self._beats.poll(max(0.0, due_s - monotonic()) * 1000))
                if not ready:
                    return f"no sign of life for {SILENT_S:g} s while executions waited"
            if self._pipe in ready:
                words = self._hear()
                if not words:
                    return "the holder ended"
                if words.endswith(ENDED):
                    return ENDED_WELL
                due_s = None if words.endswith(IDLE) else monotonic() + SILENT_S
            elif self._socket in ready:
                return "the sentinel is gone"

    def _hear(self) -> bytes:
        try:
            return os.read(self._pipe, 65536)
        except BlockingIOError:
            return BUSY

    def _free(self, holder: int, why: str) -> Freed:
        """Free everybody, then end the holder (0: there is none yet)."""
        began_s = monotonic()
        for kind in KINDS:
            self._flush(kind)
        unread, unanswered = self._allow_all()
        took_us = int((monotonic() - began_s) * 1e6)
        if holder:
            os.kill(holder, SIGKILL)  # our child, not reaped: the pid is still its own
            if self._asked.poll(LINGER_MS):
                unread += self._allow_all()[0]
            os.close(self._group)
        return Freed(unread, unanswered, took_us, why)

    def _flush(self, kind: int) -> None:
        try:
            self._calls.flush(self._group, kind)
        except OSError:
            return  # the answers below still free those who wait

    def _allow_all(self) -> tuple[int, int]:
        """Answer until nobody is left; returns how many were unread, and read but unanswered."""
        unread = unanswered = 0
        for _ in range(PASSES_MAX):  # two events may have the same number, in two processes
            found = self._allow_unread()
            matched = self._allow_read()
            unread, unanswered = unread + found, unanswered + matched
            if not found and not matched:
                break
        return unread, unanswered

    def _allow_unread(self) -> int:
        count = 0
        while True:
            try:
                events = parse_events(os.read(self._group, READ_BYTES))
            except OSError:  # nothing is left
                return count
            for mask, descriptor, _ in events:
                if descriptor != NO_DESCRIPTOR:
                    if mask & OPEN_EXEC_PERM:
                        self._answer(descriptor)
                        count += 1
                    os.close(descriptor)

    def _allow_read(self) -> int:
        return sum(map(self._answer, range(DESCRIPTORS_MAX)))

    def _answer(self, number: int) -> bool:
        """Allow what waits under a number of the holder's; False where nothing does."""
        try:
            os.write(self._group, self._answers[number])
        except OSError:
            return False
        return True

    def _tell(self, report: Freed) -> None:
        try:
            os.write(self._socket, encode_report(report))
        except OSError:
            return  # the sentinel sees our end
