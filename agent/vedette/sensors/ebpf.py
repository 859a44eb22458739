"""Processes, connections and guarded calls, from programs that the kernel runs for us (eBPF).

Rule 1: nothing is read from /proc for an event: the record says all that an event holds.
Rule 2: events of all classes come through one ring, so that an execution is always told before
what the program then did.
Rule 3: what did not fit into the ring was counted by the kernel and becomes EventsLost, exactly.
Rule 4: the first record after calm is read at once, further ones at a pace (_ebpf/pace.py), so that
one wake-up serves many.
Rule 5: nothing is pinned: the programs are gone with this process, however it ends.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from vedette.codec.ebpf import MAX_ARGUMENTS_BYTES, RecordReader
from vedette.errors import ParseError, SensorError
from vedette.model.event import (
    CLASS_OF,
    ConnectionOpened,
    Event,
    EventClass,
    EventsLost,
    KernelActivity,
    ProcessStarted,
)
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors import _probe
from vedette.sensors._child import Child
from vedette.sensors._ebpf.cgroups import Cgroups
from vedette.sensors._ebpf.object import BTF_FILE
from vedette.sensors._ebpf.pace import Pace
from vedette.sensors._ebpf.programs import Programs
from vedette.sensors._ebpf.ring import Ring, open_ring
from vedette.sensors._probe import Endpoint
from vedette.sensors._proof_program import harmless_program

NAME: Final = "ebpf"

RING_BYTES: Final = 1 << 20
"""4,000 executions: half a second of the fastest storm, and some seconds of a busy device."""
BATCH_RECORDS: Final = 256
"""Read in one go: 5 ms at most with every rule asked, then the loop gets its turn."""
LOSS_PERIOD_S: Final = 1.0
"""A storm that overflows the ring for a while is one loss a second, not one for each reading."""
MOST_BATCHES: Final = 64
"""Read at most before a proof and at the end: more than any ring of ours holds in a storm."""

_CLASSES: Final = (EventClass.PROCESS, EventClass.NETWORK, EventClass.KERNEL)
"""In the order of enum event_class in record.h."""
_LIFT: Final = (
    "kernel 5.8 with CONFIG_BPF_SYSCALL, CONFIG_BPF_EVENTS and CONFIG_DEBUG_INFO_BTF",
    "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (run as root)",
    "package libbpf1 (libbpf.so.1)",
    "the object watch.bpf.o: in every package; in a clone: make ebpf (clang, libbpf-dev)",
)


class EbpfSensor(Sensor):
    """What processes execute, whom they talk to, and what they ask of the kernel."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"bpf", "perfmon", "net_admin"})
    tiers: ClassVar[tuple[Tier, ...]] = (
        Tier(
            EventClass.PROCESS,
            NAME,
            100,
            "every execution with its command line, working directory, file and login user, and "
            "every end",
            (
                f"what of a command line is beyond {MAX_ARGUMENTS_BYTES:,} bytes",
                "the folders of a path beyond its last 40 names",
            ),
            _LIFT,
        ),
        Tier(
            EventClass.NETWORK,
            NAME,
            100,
            "every connection begun or accepted, every listener, with its process",
            (
                "beyond 32 connections and 1 datagram of a process to a destination in a minute",
                "which process of several that share a listening socket accepted",
                "what a router forwards, and raw sockets (AF_PACKET)",
                "the local port of a connection that was begun here",
            ),
            (*_LIFT, "cgroup v2: CONFIG_CGROUPS, CONFIG_CGROUP_BPF, and its file system mounted"),
        ),
        Tier(
            EventClass.KERNEL,
            NAME,
            100,
            "mounts, ptrace attach, eBPF loads, files in memory, modules, changes of ids, "
            "capabilities and the clock, signals to the agent",
            (
                "what io_uring does without a system call",
                "calls by the x32 ABI, where the kernel has it",
            ),
            (*_LIFT, "kernel: CONFIG_HAVE_SYSCALL_TRACEPOINTS", "[sensors.ebpf] calls = true"),
        ),
    )

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self._programs: Programs | None = None
        self._ring: Ring | None = None
        self._known_lost = [0] * len(_CLASSES)
        self._cgroups = Cgroups()
        variables = str(context.options.get("environment", ""))
        self._variables = frozenset(os.fsencode(name) for name in variables.split(",") if name)
        self._records = RecordReader(
            NAME, os.sysconf("SC_CLK_TCK"), self._cgroups.path_of, self._variables
        )
        self._timer: asyncio.TimerHandle | None = None
        self._loss_timer: asyncio.TimerHandle | None = None
        self._pace = Pace()
        self._awaited: set[EventClass] = set()
        self._proof_pid = 0
        self._probe: Endpoint | None = None
        self._counts = {"in": 0, "out": 0, "dropped": 0, "unreadable": 0, "repeated": 0}

    def counters(self) -> Mapping[str, int]:
        """Records in, events out, records lost; what was unreadable, and repeated connections."""
        kernel = self._programs.counters if self._programs is not None else None
        if kernel is None:
            return dict(self._counts)
        unreadable = self._counts["unreadable"] + kernel.unreadable
        return {**self._counts, "unreadable": unreadable, "repeated": kernel.repeated}

    def unserved(self) -> Mapping[EventClass, str]:
        """Classes whose programs cannot run here."""
        return self._programs.unserved if self._programs is not None else {}

    def blind_spots(self, event_class: EventClass) -> tuple[str, ...]:
        """Tracepoints that this kernel lacks."""
        if event_class is not EventClass.KERNEL or self._programs is None:
            return ()
        return tuple(
            f"names of modules: this kernel has no tracepoint {name} (CONFIG_MODULES)"
            for name in self._programs.lacking
        )

    async def taken_away(self) -> str:
        """Which programs were detached."""
        detached = self._programs.detached() if self._programs is not None else ()
        return f"eBPF programs were detached: {', '.join(detached)}" if detached else ""

    async def guard(self, pids: frozenset[int]) -> None:
        """Tell of signals to these processes, and of who reads their memory."""
        if self._programs is not None and EventClass.KERNEL not in self.unserved():
            self._programs.guard(pids)

    async def _open(self) -> None:
        if not os.access(BTF_FILE, os.R_OK):
            raise SensorError(
                f"ebpf: expected the kernel's types in {BTF_FILE}, found none; "
                "it needs a kernel with CONFIG_DEBUG_INFO_BTF"
            )
        options = self.context.options
        wanted_bytes = int(options.get("ring_kb", RING_BYTES >> 10)) << 10
        size_bytes = 1 << (wanted_bytes - 1).bit_length()
        self._programs = await asyncio.to_thread(self._load, size_bytes)
        self._ring = open_ring(self._programs.ring_fd, size_bytes)
        asyncio.get_running_loop().add_reader(self._programs.ring_fd, self._readable)

    def _load(self, size_bytes: int) -> Programs:
        self._cgroups.open()
        without = {}
        if not self.context.options.get("calls", True):
            without[EventClass.KERNEL] = "ebpf: switched off by [sensors.ebpf] calls = false"
        return Programs(size_bytes, self._cgroups, without, has_environment=bool(self._variables))

    async def _provoke(self, token: str) -> None:
        self._empty()  # a ring that is full has no room for the proof
        self._awaited = set(_CLASSES) - set(self.unserved())
        # It sets its uid to what it is already (a guarded call), and then executes a program.
        child = Child(harmless_program(token), resets_ids=True)
        self._proof_pid = child.pid
        try:
            await child.wait()
        finally:
            await child.end()
        if EventClass.NETWORK in self._awaited:
            self._probe = _probe.endpoint_of(token)
            await _probe.connect("udp", self._probe)

    def _is_proof(self, event: Event, token: str) -> bool:
        match event:
            case ProcessStarted():
                return event.pid == self._proof_pid and event.command_line.endswith(token)
            case KernelActivity():
                return event.pid == self._proof_pid
            case ConnectionOpened() if self._probe is not None:
                found = (event.destination_ip, event.destination_port)
                return found == (self._probe.text, self._probe.port)
            case _:
                return False

    def _take_proof(self, batch: Sequence[Event]) -> Sequence[Event]:
        kept: list[Event] = []
        for event in batch:
            if self._is_proof(event, self._token):
                self._awaited.discard(CLASS_OF[type(event)])
            else:
                kept.append(event)
        if not self._awaited:
            self._proved()
        return kept

    async def _close(self) -> None:
        for timer in (self._timer, self._loss_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._loss_timer = None
        self._empty()
        self._tell_losses()
        if self._ring is not None and self._programs is not None:
            asyncio.get_running_loop().remove_reader(self._programs.ring_fd)
            self._ring.close()
            self._ring = None
        closing, self._programs = self._programs, None
        if closing is not None:
            await asyncio.to_thread(closing.close)
        self._cgroups.close()

    def _readable(self) -> None:
        """Read at once after calm; else when its time has come."""
        if self._programs is None:
            return
        wait_s = self._pace.wait_s(_now_s())
        if wait_s <= 0.0:
            self._drain()
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._programs.ring_fd)
        self._timer = loop.call_later(wait_s, self._paced)

    def _paced(self) -> None:
        self._timer = None
        if self._programs is None:
            return
        loop = asyncio.get_running_loop()
        count = self._drain()
        if count:
            self._timer = loop.call_later(
                0 if count == BATCH_RECORDS else self._pace.pause_s, self._paced
            )
        else:
            loop.add_reader(self._programs.ring_fd, self._readable)

    def _drain(self) -> int:
        """Read a batch and emit its events; returns how many records came."""
        if self._ring is None:
            return 0
        records = self._ring.read(BATCH_RECORDS)
        now_s = _now_s()
        out: list[Event] = []
        read = self._records.read
        for record in records:
            try:
                read(record, out)
            except ParseError as error:
                self._counts["unreadable"] += 1
                self._counts["dropped"] += 1
                out.append(_lost(now_s, EventClass.PROCESS, "sensor", 1, str(error)))
        self._pace.read(now_s, len(records))
        self._counts["in"] += len(records)
        self._emit_all(out)
        self._look_for_losses()
        return len(records)

    def _empty(self) -> None:
        """Read what there is now."""
        for _ in range(MOST_BATCHES):
            if not self._drain():
                return

    def _look_for_losses(self) -> None:
        """Tell of what the kernel could not write, at most once a period."""
        counters = self._programs.counters if self._programs is not None else None
        if counters is None or self._loss_timer is not None or counters.lost == self._known_lost:
            return
        self._tell_losses()
        loop = asyncio.get_running_loop()
        self._loss_timer = loop.call_later(LOSS_PERIOD_S, self._look_again)

    def _look_again(self) -> None:
        self._loss_timer = None
        self._look_for_losses()

    def _tell_losses(self) -> None:
        if self._programs is None or self._programs.counters is None:
            return
        totals, now_s = self._programs.counters.lost, _now_s()
        out: list[Event] = []
        for event_class, before, total in zip(_CLASSES, self._known_lost, totals, strict=True):
            if total != before:
                self._counts["dropped"] += total - before
                reason = "the ring was full"
                out.append(_lost(now_s, event_class, "kernel", total - before, reason))
        self._known_lost = totals
        self._emit_all(out)

    def _emit_all(self, out: list[Event]) -> None:
        if out:
            self._counts["out"] += len(out)
            self.emit(out)


def _now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _lost(now_s: float, event_class: EventClass, stage: str, lost: int, reason: str) -> EventsLost:
    return EventsLost(now_s, NAME, event_class, stage, lost, True, reason)


sensor_class = EbpfSensor
