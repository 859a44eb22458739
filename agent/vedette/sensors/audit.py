"""Processes and the kernel's guarded calls from the audit system, as its daemon.

Rule 1: it can never slow the device: the kernel waits for nobody (backlog_wait_time 0), prints
nothing (failure 0) and drops what does not fit; a kernel set to panic on loss is left alone.
Rule 2: there is one daemon slot; when a living process owns it, this sensor steps aside.
Rule 3: what it changes is written to run_dir first and undone by `close` or `restore`.
Rule 4: under load it reads every PACE_S instead of at each record, so that one wake-up serves many.
Rule 5: the kernel's count of lost records, gaps in the serials, ENOBUFS and records that could not
be read all become EventsLost.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from vedette.codec import audit, syscalls
from vedette.codec import audit_control as control
from vedette.codec.serial_gaps import SerialGaps
from vedette.errors import ParseError, SensorError
from vedette.model.event import Event, EventClass, EventsLost, KernelActivity, ProcessStarted
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors import _audit_link, _audit_refusals, _audit_rules, _audit_state
from vedette.sensors._child import Child
from vedette.sensors._proof_program import harmless_program

NAME: Final = "audit"

BUFFER_BYTES: Final = 16 << 20
"""The kernel doubles it: the records of 7,000 executions, two seconds of the fastest storm."""
BACKLOG_RECORDS: Final = 8192
"""The kernel's own queue behind our buffer."""
_RECORD_BYTES: Final = 2304
"""What one record takes of kernel memory (skb->truesize, measured on x86-64)."""
_MEMORY_SHARE: Final = 32
"""At most this part of the device's memory is asked for, for the buffer and for the queue."""

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
        self._wanted: list[bytes] = []
        self._guarded: frozenset[int] = frozenset()
        self._socket: socket.socket | None = None
        self._saved: _audit_state.Saved | None = None
        self._join = audit.AuditJoin(NAME)
        self._gaps = SerialGaps()
        self._buffer = bytearray(audit.MAX_RECORD_BYTES)
        self._timer: asyncio.TimerHandle | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._read_at_s = 0.0  # of the last record, CLOCK_BOOTTIME
        self._emptied_at_s = 0.0  # when the socket was last read to its end
        self._serial = 0
        self._kernel_lost = 0
        self._must_ask = False
        self._has_executions = True
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
        if self._saved is None:
            return ""
        abis = syscalls.abis(os.uname().machine)
        wanted = set(self._wanted) | set(_audit_rules.guarding(abis, self._guarded))
        if not self._has_executions:
            wanted -= set(_audit_rules.executions(abis))
        return await asyncio.to_thread(_audit_state.difference, wanted)

    async def guard(self, pids: frozenset[int]) -> None:
        """Have the kernel tell of what is done to these processes."""
        if self._saved is None or pids == self._guarded:
            return
        abis = syscalls.abis(os.uname().machine)
        new, old = (
            _audit_rules.guarding(abis, some)
            for some in (pids - self._guarded, self._guarded - pids)
        )
        self._saved = _audit_state.extend(self.context.run_dir, self._saved, new)
        self._guarded = pids
        await asyncio.to_thread(_change_rules, new, old)

    async def _open(self) -> None:
        abis = syscalls.abis(os.uname().machine)
        if not abis:
            raise SensorError(f"audit: expected an x86 or ARM machine, got {os.uname().machine}")
        run_dir = self.context.run_dir
        self.restore(run_dir)
        with _audit_refusals.explained():
            if (left := _audit_state.load(run_dir)) is not None:
                raise SensorError(f"audit: pid {left.pid} already watches from {run_dir}")
            with _audit_link.AuditLink() as link:
                found = link.status()
                _audit_refusals.check_usable(found)
                others = [
                    rule
                    for rule in link.rules()
                    if control.parse_rule(rule).key != _audit_rules.KEY
                ]
                self._begin(link, found, _audit_rules.rules(abis, is_alone=not others))
        asyncio.get_running_loop().add_reader(self._opened, self._readable)

    def _begin(
        self, link: _audit_link.AuditLink, found: control.Status, wanted: list[bytes]
    ) -> None:
        given = {
            "failure": control.FAILURE_SILENT,
            "backlog_limit": max(found.backlog_limit, _affordable(BACKLOG_RECORDS, _RECORD_BYTES)),
            "backlog_wait_time": 0,
            "enabled": 1,
        }
        self._saved = _audit_state.save(self.context.run_dir, found, given, wanted)
        self._socket = _audit_link.open_socket()
        self._socket.setsockopt(
            socket.SOL_SOCKET, _audit_link.SO_RCVBUFFORCE, _affordable(BUFFER_BYTES, 1)
        )
        _audit_link.register(self._socket, os.getpid())
        for name, mask in _audit_state.FIELDS.items():
            if name != "enabled":
                link.set(control.change(mask, **{name: given[name]}))
        self._wanted = wanted
        for rule in wanted:
            # One with our key may be left from a run whose file is gone: it is ours now.
            with contextlib.suppress(FileExistsError):
                link.add(rule)
        link.set(control.change(control.STATUS_ENABLED, enabled=1))
        self._kernel_lost = found.lost
        self._emptied_at_s = _now_s()
        self._socket.setblocking(False)

    def _narrowed(self, classes: frozenset[EventClass]) -> None:
        """Have the kernel tell of no execution while a better source does: most of the work."""
        has_executions = EventClass.PROCESS in classes
        if self._saved is None or not classes or has_executions == self._has_executions:
            return
        try:
            with _audit_link.AuditLink() as link:
                for rule in _audit_rules.executions(syscalls.abis(os.uname().machine)):
                    if has_executions:
                        link.add(rule)
                    else:
                        link.delete(rule)
        except (OSError, ParseError):
            return  # what is told all the same goes no further; what is not told fails the proof
        self._has_executions = has_executions

    async def _provoke(self, token: str) -> None:
        self._awaited = {EventClass.KERNEL}
        if self._has_executions:
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
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
        saved, self._saved = self._saved, None
        try:
            if saved is not None:
                # Deleting a rule waits 10 ms for the kernel. The socket stays open meanwhile: a
                # kernel without a daemon prints its records to the console.
                await asyncio.to_thread(_audit_state.undo, self.context.run_dir, saved)
        except (OSError, ParseError) as error:
            raise SensorError(
                f"audit: cannot undo our changes: {error}; they are undone at the next start"
            ) from error
        finally:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    @property
    def _opened(self) -> socket.socket:
        if self._socket is None:
            raise RuntimeError("expected an open audit sensor, got one that is closed")
        return self._socket

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
            self._must_ask = False
            self._count_loss(
                out, now_s, self._lost_in_kernel(), "the kernel's audit queue was full"
            )
            # What the kernel set aside comes now, late.
            self._gaps.wait_longer(now_s)
        self._count_loss(out, now_s, self._gaps.take_lost(now_s), "gap in audit's serial numbers")
        self._emit_all(out)
        self._settle_later()

    def _lost_in_kernel(self) -> int:
        """Records that the kernel counted as lost since the last call."""
        try:
            with _audit_link.AuditLink() as link:
                # What did not fit into our buffer waits in the kernel's retry queue until another
                # record comes (kauditd_thread); a setting that changes nothing makes one.
                link.set(control.change(control.STATUS_BACKLOG_WAIT_TIME))
                total = link.status().lost
        except (OSError, ParseError):
            self._must_ask = True
            return 0
        lost = (total - self._kernel_lost) & 0xFFFFFFFF
        self._kernel_lost = total
        return lost

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


def _change_rules(new: Iterable[bytes], old: Iterable[bytes]) -> None:
    with _audit_link.AuditLink() as link:
        for rule in new:
            with contextlib.suppress(FileExistsError):
                link.add(rule)
        for rule in old:
            link.delete(rule)


def _now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _lost(now_s: float, stage: str, lost: int, reason: str, *, is_exact: bool) -> EventsLost:
    return EventsLost(now_s, NAME, EventClass.PROCESS, stage, lost, is_exact, reason)


def _affordable(wanted: int, unit_bytes: int) -> int:
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(wanted, memory_bytes // _MEMORY_SHARE // unit_bytes)


sensor_class = AuditSensor
