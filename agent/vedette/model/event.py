"""Events: what a sensor saw, as a closed union.

Rule 1: `at_s` is CLOCK_BOOTTIME in seconds; wall time is added where people read.
Rule 2: `tier` is the name of the source (its file in sensors/), so that a finding can say how good
its evidence is.
Rule 3: unknown is 0 for pids, ports and inodes, -1 for ids and modes, "" for text; never a guess.
Rule 4: text from outside is str decoded from UTF-8 with surrogateescape and may hold any character.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias


class EventClass(StrEnum):
    """What an event is about; each class has its own ladder of tiers."""

    PROCESS = "process"
    FILE = "file"
    NETWORK = "network"
    KERNEL = "kernel"
    LOG = "log"
    MODEL = "model"
    AGENT = "agent"
    """What the agent says of itself: it has no ladder."""


class ProcessStarted(NamedTuple):
    """A process executed a program (execve or execveat succeeded).

    `start_ticks` is proc(5) field 22 (clock ticks since boot) where the tier knows it, else 0.
    `command_line` is argv joined by single spaces; `arguments` is argv joined by NUL where that
    does not tell where each argument begins (one of them holds a space), else "". `is_complete` is
    False where the tier could not read argv or had to cut it. `modified_s` is when the program's
    file was last modified (wall clock). `environment` holds the variables that the configuration
    asks for, one `NAME=value` a line.
    """

    at_s: float
    tier: str
    pid: int
    ppid: int
    start_ticks: int
    image: str
    argv0: str
    command_line: str
    is_complete: bool
    uid: int
    login_uid: int
    cwd: str
    cgroup: str
    device: int
    inode: int
    arguments: str = ""
    modified_s: int = 0
    environment: str = ""


class ProcessForked(NamedTuple):
    """A process was made as a copy of its parent."""

    at_s: float
    tier: str
    pid: int
    ppid: int
    start_ticks: int


class ProcessExited(NamedTuple):
    """A process ended; its pid may be used again from now on."""

    at_s: float
    tier: str
    pid: int


FileAction: TypeAlias = Literal["created", "modified", "deleted", "renamed", "attributes"]


class FileChanged(NamedTuple):
    """A file or directory below a watched tree changed.

    `path` is absolute; `old_path` is where a renamed file came from. `mode` holds st_mode after the
    change and `digest` the SHA-256 in hex, where the tier knows them.
    """

    at_s: float
    tier: str
    action: FileAction
    path: str
    old_path: str
    pid: int
    mode: int
    uid: int
    is_directory: bool
    digest: str


Protocol: TypeAlias = Literal["tcp", "udp", "icmp", "other"]


class ConnectionOpened(NamedTuple):
    """A connection was begun from (initiated) or to this host; addresses are in text form.

    `is_established`: the handshake of one that came in was seen to be over, so that the other end
    is where it says.
    """

    at_s: float
    tier: str
    protocol: Protocol
    is_initiated: bool
    source_ip: str
    source_port: int
    destination_ip: str
    destination_port: int
    pid: int
    uid: int
    is_established: bool = False


class ListenerOpened(NamedTuple):
    """A socket of this host began to accept connections or datagrams."""

    at_s: float
    tier: str
    protocol: Protocol
    address: str
    port: int
    pid: int
    uid: int


class NameQueried(NamedTuple):
    """This host asked the DNS for a name (lower case, no final dot)."""

    at_s: float
    tier: str
    name: str
    query_type: int


class NameResolved(NamedTuple):
    """An answer to a query seen from this host gave `address` for the asked `name`: a hint."""

    at_s: float
    tier: str
    name: str
    address: str
    ttl_s: int


Activity: TypeAlias = Literal[
    "module_load", "module_unload", "mount", "umount", "ptrace", "uid_change", "capability_change",
    "bpf_load", "memfd_create", "signal", "memory_access", "time_set",
]  # fmt: skip


class KernelActivity(NamedTuple):
    """A process changed or used what the kernel guards.

    `target` names the object in the words of the activity: module name, mount point, traced pid,
    new uid or capability set, name of the eBPF program or of the file in memory, pid whose memory
    was read or written, pid and number of a signal; "" where the tier does not know. Signals and
    memory are told of the agent's own processes alone.
    """

    at_s: float
    tier: str
    activity: Activity
    pid: int
    uid: int
    image: str
    target: str


class LogLine(NamedTuple):
    """One message of the system log; `service` is the syslog identifier or unit."""

    at_s: float
    tier: str
    service: str
    message: str
    pid: int


class EventsLost(NamedTuple):
    """Events of a class are known to be missing: a loss is an event too.

    `lost` is a lower bound unless `is_exact`; 0 means that some are missing and nobody knows how
    many. `stage` says where: "kernel", "sensor", "link", "journal", ...
    """

    at_s: float
    tier: str
    event_class: EventClass
    stage: str
    lost: int
    is_exact: bool
    reason: str


class TierChanged(NamedTuple):
    """A class is watched by another source from now on; `tier` is "" when nothing watches it.

    Where `tier` and `previous` are the same, the source had stopped seeing and was started again.
    `is_better` says that nothing failed: a better source works now.
    """

    at_s: float
    tier: str
    event_class: EventClass
    previous: str
    reason: str
    is_better: bool = False


Event: TypeAlias = (
    ProcessStarted
    | ProcessForked
    | ProcessExited
    | FileChanged
    | ConnectionOpened
    | ListenerOpened
    | NameQueried
    | NameResolved
    | KernelActivity
    | LogLine
    | EventsLost
    | TierChanged
)

CLASS_OF: Mapping[type[Event], EventClass] = {
    ProcessStarted: EventClass.PROCESS,
    ProcessForked: EventClass.PROCESS,
    ProcessExited: EventClass.PROCESS,
    FileChanged: EventClass.FILE,
    ConnectionOpened: EventClass.NETWORK,
    ListenerOpened: EventClass.NETWORK,
    NameQueried: EventClass.NETWORK,
    NameResolved: EventClass.NETWORK,
    KernelActivity: EventClass.KERNEL,
    LogLine: EventClass.LOG,
}
"""What a sensor's events are about; the other two say themselves of which class they speak."""
