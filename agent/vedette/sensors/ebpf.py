"""Processes, from programs that the kernel runs at its own tracepoints (eBPF).

Rule 1: nothing is read from /proc for an event: the record says all that an event holds.
Rule 2: events of all classes come through one ring, so that an execution is always told before
what the program then did.
Rule 3: what did not fit into the ring was counted by the kernel and becomes EventsLost, exactly.
Rule 4: under load it reads every PACE_S instead of at each record, so that one wake-up serves many.
Rule 5: nothing is pinned: the programs are gone with this process, however it ends.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import ClassVar, Final

from vedette.codec.ebpf import MAX_ARGUMENTS_BYTES, RecordReader
from vedette.errors import ParseError, SensorError
from vedette.model.event import Event, EventClass, EventsLost, ProcessStarted
from vedette.model.tier import Tier
from vedette.ports.sensor import Sensor, SensorContext
from vedette.sensors._child import Child
from vedette.sensors._ebpf.cgroups import Cgroups
from vedette.sensors._ebpf.object import BTF_FILE, Counters, KernelObject
from vedette.sensors._ebpf.ring import Ring, open_ring
from vedette.sensors._proof_program import harmless_program

NAME: Final = "ebpf"

RING_BYTES: Final = 1 << 20
"""4,000 executions: half a second of the fastest storm, and some seconds of a busy device."""
SHARED_PERCENT: Final = 75
"""How far other classes may fill the ring; the rest is for processes alone."""
BATCH_RECORDS: Final = 256
"""Read in one go: 5 ms at most with every rule asked, then the loop gets its turn."""
PACE_S: Final = 0.005
CALM_S: Final = 0.02
"""A wake-up this long after the last one is served at once."""

_CLASSES: Final = (EventClass.PROCESS, EventClass.NETWORK, EventClass.KERNEL)
"""In the order of enum event_class in record.h."""
_PROGRAMS: Final[Mapping[EventClass, tuple[str, ...]]] = {
    EventClass.PROCESS: ("on_exit", "on_fork", "on_exec"),
}
_LIFT: Final = (
    "kernel 5.8 with CONFIG_BPF_SYSCALL, CONFIG_BPF_EVENTS and CONFIG_DEBUG_INFO_BTF",
    "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (run as root)",
    "package libbpf1 (libbpf.so.1)",
    "the object watch.bpf.o: in every package; in a clone: make ebpf (clang, libbpf-dev)",
)


class EbpfSensor(Sensor):
    """Every execution with its arguments and file, and every end of a process."""

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
    )

    def __init__(self, context: SensorContext) -> None:
        super().__init__(context)
        self._object: KernelObject | None = None
        self._ring: Ring | None = None
        self._ring_fd = -1
        self._counters: Counters | None = None
        self._known_lost = [0] * len(_CLASSES)
        self._cgroups = Cgroups()
        variables = str(context.options.get("environment", ""))
        self._has_environment = bool(variables)
        self._records = RecordReader(
            NAME,
            os.sysconf("SC_CLK_TCK"),
            self._cgroups.path_of,
            frozenset(os.fsencode(name) for name in variables.split(",") if name),
        )
        self._timer: asyncio.TimerHandle | None = None
        self._read_at_s = 0.0
        self._proof_pid = 0
        self._counts = {"in": 0, "out": 0, "dropped": 0, "unreadable": 0}

    def counters(self) -> Mapping[str, int]:
        """Records in, events out, records lost; arguments or records that were unreadable."""
        if self._counters is None:
            return dict(self._counts)
        unreadable = self._counts["unreadable"] + self._counters.unreadable
        return {**self._counts, "unreadable": unreadable}

    async def _open(self) -> None:
        if not os.access(BTF_FILE, os.R_OK):
            raise SensorError(
                f"ebpf: expected the kernel's types in {BTF_FILE}, found none; "
                "it needs a kernel with CONFIG_DEBUG_INFO_BTF"
            )
        wanted_bytes = int(self.context.options.get("ring_kb", RING_BYTES >> 10)) << 10
        size_bytes = 1 << (wanted_bytes - 1).bit_length()
        await asyncio.to_thread(self._load, size_bytes)
        self._ring = open_ring(self._ring_fd, size_bytes)
        asyncio.get_running_loop().add_reader(self._ring_fd, self._readable)

    def _load(self, size_bytes: int) -> None:
        """Load and attach; in a thread, since the kernel checks the programs for some 20 ms."""
        self._cgroups.open()
        self._object = loading = KernelObject()
        loading.set_ring_bytes(size_bytes)
        options = loading.options()
        options.shared_bytes = size_bytes * SHARED_PERCENT // 100
        options.has_environment = self._has_environment
        loading.load()
        self._counters = loading.counters()
        self._ring_fd = loading.map_fd("ring")
        for programs in _PROGRAMS.values():
            for program in programs:
                loading.attach(program)

    async def _provoke(self, token: str) -> None:
        while self._drain():  # a ring that is full has no room for the proof
            pass
        child = Child(harmless_program(token))
        self._proof_pid = child.pid
        try:
            await child.wait()
        finally:
            await child.end()

    def _is_proof(self, event: Event, token: str) -> bool:
        return (
            isinstance(event, ProcessStarted)
            and event.pid == self._proof_pid
            and event.command_line.endswith(token)
        )

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ring is not None:
            asyncio.get_running_loop().remove_reader(self._ring_fd)
            self._ring.close()
            self._ring = None
        if self._counters is not None:
            self._counters.close()
            self._counters = None
        if self._object is not None:
            closing, self._object = self._object, None
            # Detaching waits for every processor to leave the programs: some 10 ms each.
            await asyncio.to_thread(closing.close)
        self._cgroups.close()

    def _readable(self) -> None:
        """Read at once after calm; else once per PACE_S."""
        if _now_s() - self._read_at_s > CALM_S:
            self._drain()
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._ring_fd)
        self._timer = loop.call_later(PACE_S, self._paced)

    def _paced(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        count = self._drain()
        if count:
            self._timer = loop.call_later(0 if count == BATCH_RECORDS else PACE_S, self._paced)
        else:
            loop.add_reader(self._ring_fd, self._readable)

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
                self._lose(out, now_s, EventClass.PROCESS, "sensor", 1, str(error))
        if records:
            self._read_at_s = now_s
            self._counts["in"] += len(records)
        self._count_losses(out, now_s)
        if out:
            self._counts["out"] += len(out)
            self.emit(out)
        return len(records)

    def _count_losses(self, out: list[Event], now_s: float) -> None:
        """What the kernel could not write since the last look."""
        for number, total in enumerate(self._counters.lost if self._counters else ()):
            lost = total - self._known_lost[number]
            if lost:
                self._known_lost[number] = total
                self._lose(out, now_s, _CLASSES[number], "kernel", lost, "the ring was full")

    def _lose(
        self,
        out: list[Event],
        now_s: float,
        event_class: EventClass,
        stage: str,
        lost: int,
        reason: str,
    ) -> None:
        self._counts["dropped"] += lost
        out.append(EventsLost(now_s, NAME, event_class, stage, lost, True, reason))


def _now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


sensor_class = EbpfSensor
