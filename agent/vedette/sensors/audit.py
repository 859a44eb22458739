"""Processes and the kernel's guarded calls from the audit system, as its daemon.

What it asks of the kernel, and how that ends, is in _audit_seat.py.

Rule 1: under load it reads every PACE_S instead of at each record, so that one wake-up serves many.
Rule 2: the kernel's count of lost records, gaps in the serials, ENOBUFS and records that could not
be read all become EventsLost.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from vedette.codec import audit, syscalls
from vedette.codec.serial_gaps import SerialGaps
from vedette.errors import ParseError, SensorError
from vedette.model.event import Event, EventClass, EventsLost, KernelActivity, ProcessStarted
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors import _audit_seat, _audit_state
from vedette.sensors._child import Child
from vedette.sensors._proof_program import harmless_program

NAME: Final = "audit"

BATCH_RECORDS: Final = 256
"""Read in one go: 3 ms at most, then the loop gets its turn."""
PACE_S: Final = 0.005
CALM_S: Final = 0.02
"""A wake-up this long after the last one is served at once."""
HANDOVER_S: Final = 1.0
"""The kernel hands a record on when its thread is scheduled: later events may come before."""
SETTLE_S: Final = 1.0
"""After a burst: what is pending then will not be joined any more."""
_FIRST_RECORD_TYPE: Final = 1100
"""linux/audit.h: below are requests and answers."""


class AuditSensor(Sensor):
    """Every execution with its command line, and the calls that the kernel guards."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"audit_control", "net_admin"})
    tiers: ClassVar[tuple[Tier, ...]] = (
        Tier(
            EventClass.PROCESS,
            NAME,
            80,
            "every execution with its whole command line, user and login user",
            (
                "executions by a process older than the first use of audit, before it forks",
                "working directory and file identity of the program",
                "calls by the x32 ABI, where the kernel has it",
            ),
            ("kernel option CONFIG_AUDITSYSCALL", "CAP_AUDIT_CONTROL", "audit=1 at boot",
             "stop auditd, which owns the one slot"),
        ),
        Tier(
            EventClass.KERNEL,
            NAME,
            80,
            "module loads, mounts, ptrace attach, changes of uid, gid, capabilities and the clock, "
            "signals to the agent",
            (
                "calls by processes older than the first use of audit",
                "where something was mounted",
                "signals to the agent that are sent through a pidfd or with a value",
            ),
            ("kernel option CONFIG_AUDITSYSCALL", "CAP_AUDIT_CONTROL", "audit=1 at boot",
             "stop auditd, which owns the one slot"),
        ),
    )  # fmt: skip

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self._seat: _audit_seat.AuditSeat | None = None
        self._join = audit.AuditJoin(NAME)
        self._gaps = SerialGaps()
        self._buffer = bytearray(audit.MAX_RECORD_BYTES)
        self._timer: asyncio.TimerHandle | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._read_at_s = 0.0  # of the last record, CLOCK_BOOTTIME
        self._emptied_at_s = 0.0  # when the socket was last read to its end
        self._serial = 0
        self._must_ask = False
        self._awaited: set[EventClass] = set()
        self._proof_pid = 0
        self._counts = {"in": 0, "out": 0, "dropped": 0, "overruns": 0, "unreadable": 0}

    @classmethod
    def restore(cls, run_dir: Path) -> list[str]:
        """Undo what a killed instance left: its rules, its status, its slot."""
        if not (run_dir / f"{NAME}.json").exists():
            return []  # and nothing is loaded for it, at each start
        try:
            saved = _audit_state.load(run_dir)
            if saved is None or _audit_state.is_alive(saved):
                return []
            return _audit_state.undo(run_dir, saved)
        except (OSError, ParseError) as error:
            return [f"audit: could not undo what an earlier run changed: {error}"]

    def counters(self) -> Mapping[str, int]:
        """Records in, events out, records dropped, overruns of the buffer, unreadable records."""
        return dict(self._counts)

    async def taken_away(self) -> str:
        """Whether audit was switched off, its slot taken, or rules of ours deleted."""
        seat = self._seat
        return "" if seat is None else await asyncio.to_thread(seat.difference)

    async def guard(self, pids: frozenset[int]) -> None:
        """Have the kernel tell of what is done to these processes."""
        if self._seat is not None and pids != self._seat.guarded:
            new, old = self._seat.note_guarded(pids)
            await asyncio.to_thread(_audit_seat.change_rules, new, old)

    async def _open(self) -> None:
        abis = syscalls.abis(os.uname().machine)
        if not abis:
            raise SensorError(f"audit: expected an x86 or ARM machine, got {os.uname().machine}")
        self.restore(self.context.run_dir)
        self._seat = _audit_seat.AuditSeat(self.context.run_dir, abis)
        self._seat.take()
        self._emptied_at_s = _now_s()
        asyncio.get_running_loop().add_reader(self._opened, self._readable)

    def _narrowed(self, classes: frozenset[EventClass]) -> None:
        """Have the kernel tell of no execution while a better source does: most of the work."""
        if self._seat is not None and classes:
            self._seat.tell_executions(wanted=EventClass.PROCESS in classes)

    async def _provoke(self, token: str) -> None:
        self._awaited = {EventClass.KERNEL}
        if self._seat is not None and self._seat.has_executions:
            self._awaited.add(EventClass.PROCESS)
        self._ask_kernel_soon()
        # The kernel does not audit its own daemon, that is us: a child sets its uid to what it is
        # already (a guarded call), and then executes a program.
        child = Child(harmless_program(token), resets_ids=True)
        self._proof_pid = child.pid
        try:
            await child.wait()
        finally:
            await child.end()

    def _is_proof(self, event: Event, token: str) -> bool:
        match event:
            case ProcessStarted():
                return event.pid == self._proof_pid and event.command_line.endswith(token)
            case KernelActivity():
                return event.pid == self._proof_pid
            case _:
                return False

    def _take_proof(self, batch: Sequence[Event]) -> Sequence[Event]:
        kept: list[Event] = []
        for event in batch:
            if not self._is_proof(event, self._token):
                kept.append(event)
            elif isinstance(event, KernelActivity):
                self._awaited.discard(EventClass.KERNEL)
            else:
                self._awaited.discard(EventClass.PROCESS)
        if not self._awaited:
            self._proved()
        return kept

    async def _close(self) -> None:
        for timer in (self._timer, self._settling):
            if timer is not None:
                timer.cancel()
        self._timer = self._settling = None
        seat, self._seat = self._seat, None
        if seat is None:
            return
        if seat.socket is not None:
            asyncio.get_running_loop().remove_reader(seat.socket)
        try:
            # Deleting a rule waits 10 ms for the kernel. The socket stays open meanwhile: a kernel
            # without a daemon prints its records to the console.
            await asyncio.to_thread(seat.give_back)
        except (OSError, ParseError) as error:
            raise SensorError(
                f"audit: cannot undo our changes: {error}; they are undone at the next start"
            ) from error
        finally:
            seat.close()

    @property
    def _opened(self) -> socket.socket:
        if self._seat is None or self._seat.socket is None:
            raise RuntimeError("expected an open audit sensor, got one that is closed")
        return self._seat.socket

    def _readable(self) -> None:
        """Read at once after calm; else once per PACE_S."""
        if _now_s() - self._read_at_s > CALM_S:
            self._drain()
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._opened)
        self._timer = loop.call_later(PACE_S, self._paced)

    def _paced(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        if self._drain():
            self._timer = loop.call_later(PACE_S, self._paced)
        else:
            loop.add_reader(self._opened, self._readable)

    def _drain(self) -> int:
        """Read a batch and emit its events; returns how many records came."""
        now_s = _now_s()
        self._join.set_clock(now_s - time.time(), self._emptied_at_s - HANDOVER_S, now_s)
        out: list[Event] = []
        count = self._read_batch(out, now_s)
        if count < BATCH_RECORDS:
            self._emptied_at_s = now_s
        if count:
            self._read_at_s = now_s
            self._counts["in"] += count
            self._settle_later()
        self._emit_all(out)
        return count

    def _read_batch(self, out: list[Event], now_s: float) -> int:
        receive, buffer, read = self._opened.recv_into, self._buffer, self._join.read
        for count in range(BATCH_RECORDS):
            try:
                size = receive(buffer)
            except BlockingIOError:
                return count
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._counts["overruns"] += 1
                self._ask_kernel_soon()
                continue
            kind = buffer[4] | buffer[5] << 8
            try:
                self._serial = read(kind, bytes(buffer[audit.HEADER_BYTES : size]), out)
            except ParseError as error:
                if kind >= _FIRST_RECORD_TYPE:
                    self._counts["unreadable"] += 1
                    out.append(_lost(now_s, "sensor", 1, str(error), is_exact=True))
            else:
                self._gaps.note(self._serial, now_s)
        return BATCH_RECORDS

    def _ask_kernel_soon(self) -> None:
        self._must_ask = True
        self._settle_later()

    def _settle_later(self) -> None:
        if self._settling is None and (self._must_ask or self._join.pending or self._gaps.missing):
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(SETTLE_S, self._settle)

    def _settle(self) -> None:
        """Emit what will not be joined any more, and what is known to be lost."""
        self._settling = None
        now_s = _now_s()
        out: list[Event] = []
        is_calm = now_s - self._read_at_s > SETTLE_S
        self._join.flush(out, None if is_calm else self._serial)
        if self._must_ask:
            self._count_loss(
                out, now_s, self._lost_in_kernel(), "the kernel's audit queue was full"
            )
            # What the kernel set aside comes now, late.
            self._gaps.wait_longer(now_s)
        self._count_loss(out, now_s, self._gaps.take_lost(now_s), "gap in audit's serial numbers")
        self._emit_all(out)
        self._settle_later()

    def _lost_in_kernel(self) -> int:
        """Records that the kernel counted as lost since the last call; asks again if it is mute."""
        lost = self._seat.lost() if self._seat is not None else 0
        self._must_ask = lost is None
        return lost or 0

    def _count_loss(self, out: list[Event], now_s: float, lost: int, reason: str) -> None:
        if lost:
            self._counts["dropped"] += lost
            out.append(_lost(now_s, "kernel", lost, reason, is_exact=False))
            # Nobody knows of which class a lost record was; executions are nearly all of them.
            unknown = _lost(now_s, "kernel", 0, reason, is_exact=False)
            out.append(unknown._replace(event_class=EventClass.KERNEL))

    def _emit_all(self, out: list[Event]) -> None:
        if out:
            self._counts["out"] += len(out)
            self.emit(out)


def _now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _lost(now_s: float, stage: str, lost: int, reason: str, *, is_exact: bool) -> EventsLost:
    return EventsLost(now_s, NAME, EventClass.PROCESS, stage, lost, is_exact, reason)


sensor_class = AuditSensor
