"""Our programs in the kernel: which class needs which, what this kernel lacks, who listened before.

Rule 1: a class whose programs cannot run here is named with its reason, and costs nothing: its
programs are not loaded; the other classes go on.
Rule 2: programs run from the moment the last one is attached; what they tell before is kept in the
ring.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from vedette.codec import sock_diag, syscalls
from vedette.errors import ParseError, SensorError
from vedette.model.event import EventClass
from vedette.sensors._ebpf.cgroups import Cgroups
from vedette.sensors._ebpf.object import BTF_FILE, MAX_CALLS, Counters, KernelObject, Options
from vedette.sensors._owners import OwnerFinder
from vedette.sensors._polled_sockets import PolledSockets

SHARED_PERCENT: Final = 75
"""How far other classes may fill the ring; the rest is for processes alone."""

TRACEPOINTS: Final[Mapping[EventClass, tuple[str, ...]]] = {
    EventClass.PROCESS: ("on_exit", "on_fork", "on_exec"),
    EventClass.NETWORK: ("on_state",),
    EventClass.KERNEL: ("on_call", "on_signal"),
}
CGROUP_PROGRAMS: Final = (
    "on_connect4", "on_connect6", "on_send4", "on_send6", "on_bind4", "on_bind6",
)  # fmt: skip
MODULE_PROGRAMS: Final[Mapping[str, str]] = {
    "on_module_load": "module_load",
    "on_module_unload": "module_free",
}
"""Programs of class kernel whose tracepoints a kernel without modules lacks."""

# enum call in activity.h
_CALLS: Final[Mapping[str, int]] = {
    "init_module": 1, "finit_module": 1, "delete_module": 2, "mount": 3, "move_mount": 4,
    "umount2": 5, "ptrace": 6, "setuid": 7, "setreuid": 7, "setresuid": 7, "setgid": 8,
    "setregid": 8, "setresgid": 8, "capset": 9, "bpf": 10, "memfd_create": 11,
    "process_vm_readv": 12, "process_vm_writev": 12, "clock_settime": 13, "settimeofday": 14,
}  # fmt: skip
_BY_TRACEPOINT: Final = frozenset({"init_module", "finit_module", "delete_module"})
_CHUNK_BYTES: Final = 256 * 1024
_SERVICE: Final = struct.Struct("=II")
_PID: Final = struct.Struct("=I")


class Programs:
    """The object loaded and attached; to be made in a thread: the kernel checks for some 100 ms.

    Args:
        ring_bytes: a power of two.
        cgroups: open where cgroup v2 is mounted.
        has_environment: executions tell their environment.
        without: classes that the configuration switches off, with the reason to give.

    Attributes:
        unserved: classes that cannot be watched here, and why not.
        lacking: tracepoints that this kernel does not have, of class kernel.
        counters: what the kernel counts.

    Raises:
        SensorError: not even processes can be watched.
    """

    def __init__(
        self,
        ring_bytes: int,
        cgroups: Cgroups,
        without: Mapping[EventClass, str],
        *,
        has_environment: bool,
    ) -> None:
        self.unserved: dict[EventClass, str] = dict(without)
        wanted = MODULE_PROGRAMS.values()
        there = tracepoints(wanted)
        self.lacking = tuple(name for name in wanted if name not in there)
        self._guarded: frozenset[int] = frozenset()
        self._object = KernelObject()
        self.counters: Counters | None = None
        try:
            self._choose(cgroups)
            self._object.set_ring_bytes(ring_bytes)
            options = self._object.options()
            options.shared_bytes = ring_bytes * SHARED_PERCENT // 100
            options.has_environment = has_environment
            self._fill_calls(options)
            self._object.load()
            self.counters = Counters(self._object.map_fd(".bss"))
            self._attach(cgroups)
        except SensorError:
            self.close()
            raise

    @property
    def ring_fd(self) -> int:
        """The descriptor of the ring: readable when there is something to read."""
        return self._object.map_fd("ring")

    def guard(self, pids: frozenset[int]) -> None:
        """Tell of signals to these processes, and of who reads their memory, and of no others'."""
        for pid in self._guarded - pids:
            self._object.take("guarded", _PID.pack(pid))
        for pid in pids - self._guarded:
            self._object.put("guarded", _PID.pack(pid), b"\1")
        self._guarded = pids

    def detached(self) -> tuple[str, ...]:
        """Names of programs that somebody detached from their hooks."""
        return self._object.detached()

    def close(self) -> None:
        """Detach and unload. Safe to call twice; detaching waits some 10 ms for each program."""
        if self.counters is not None:
            self.counters.close()
            self.counters = None
        self._object.close()

    def _choose(self, cgroups: Cgroups) -> None:
        """Leave out what is not wanted, or cannot run here."""
        if EventClass.NETWORK not in self.unserved and cgroups.fd < 0:
            self.unserved[EventClass.NETWORK] = (
                "ebpf: expected cgroup v2 to be mounted, found none; datagrams cannot be seen "
                "without (mount -t cgroup2 none /sys/fs/cgroup/unified)"
            )
        for event_class in self.unserved:
            for program in self._programs_of(event_class):
                self._object.leave_out(program)
        for program, tracepoint in MODULE_PROGRAMS.items():
            if tracepoint in self.lacking or EventClass.KERNEL in self.unserved:
                self._object.leave_out(program)

    def _fill_calls(self, options: Options) -> None:
        """Say which numbers of system calls mean what, in both ways to call this kernel."""
        abis = syscalls.abis(os.uname().machine)
        if not abis:
            return
        by_tracepoint = frozenset() if self.lacking else _BY_TRACEPOINT
        for abi, table in zip(abis, (options.calls, options.compat_calls), strict=False):
            for name, call in _CALLS.items():
                if name in by_tracepoint:
                    continue
                for number in abi.of(name):
                    if number < MAX_CALLS:
                        table[number] = call

    def _attach(self, cgroups: Cgroups) -> None:
        for event_class in TRACEPOINTS:
            if event_class in self.unserved:
                continue
            try:
                for program in self._programs_of(event_class):
                    is_cgroup = program in CGROUP_PROGRAMS
                    self._object.attach(program, cgroups.fd if is_cgroup else None)
            except SensorError as error:
                if event_class is EventClass.PROCESS:
                    raise
                self.unserved[event_class] = str(error)
        if EventClass.NETWORK not in self.unserved:
            for port, pid in listeners():
                network = os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116
                self._object.put("services", _SERVICE.pack(network, port), _PID.pack(pid))

    def _programs_of(self, event_class: EventClass) -> tuple[str, ...]:
        programs = TRACEPOINTS[event_class]
        if event_class is EventClass.NETWORK:
            programs += CGROUP_PROGRAMS
        if event_class is EventClass.KERNEL:
            programs += tuple(
                program for program, name in MODULE_PROGRAMS.items() if name not in self.lacking
            )
        return programs


def listeners() -> Iterator[tuple[int, int]]:
    """(port, pid) of the TCP sockets that listen now, as far as their owner can be read."""
    try:
        sockets = PolledSockets()
    except OSError:
        return
    try:
        records = list(sockets.records("tcp", 1 << sock_diag.TCP_LISTEN))
    except (OSError, ParseError):
        return
    finally:
        sockets.close()
    now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    owners = OwnerFinder().find((record.inode for record in records), now_s)
    for record in records:
        if record.inode in owners:
            yield record.local_port, owners[record.inode]


def tracepoints(names: Iterable[str]) -> frozenset[str]:
    """Which of these tracepoints this kernel has, by the names of their types in BTF.

    Some 5 MB are read once for all of them, and searched without the zeros around a name: most of
    BTF is zeros, at each of which a search for one that ends in a zero stops (4.5 s on a Cortex-A53
    under emulation).
    """
    wanted = {name: f"btf_trace_{name}".encode() for name in names}
    overlap = max(map(len, wanted.values()), default=0) + 1
    found: set[str] = set()
    try:
        with open(BTF_FILE, "rb", buffering=0) as types:  # noqa: PTH123
            text = b""
            while len(found) < len(wanted) and (chunk := types.read(_CHUNK_BYTES)):
                text = text[-overlap:] + chunk
                found |= {
                    name
                    for name, core in wanted.items()
                    if core in text and b"\0%b\0" % core in text
                }
    except OSError:
        return frozenset()
    return frozenset(found)
