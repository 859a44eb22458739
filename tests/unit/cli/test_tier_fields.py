"""What is declared of each tier, against what its own code and core/enrich.py fill."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest

from vedette import sensors
from vedette.cli._event_fields import ARGUMENTS, EVENT_FIELDS
from vedette.cli._tier_fields import (
    BEST_EFFORT,
    all_tiers,
    class_of,
    fields_of_tier,
    tiers_of,
    values_of_tier,
)
from vedette.codec import audit, connector, ebpf
from vedette.codec.fanotify import CREATE, DELETE
from vedette.codec.procfs import parse_stat
from vedette.core import enrich
from vedette.core.arguments import argument
from vedette.core.process_table import ProcessTable
from vedette.core.sweep import Sweep
from vedette.model.baseline import Change, Difference, FileRecord, Hint
from vedette.model.event import (
    Activity,
    ConnectionOpened,
    Event,
    EventClass,
    FileChanged,
    KernelActivity,
    ListenerOpened,
    LogLine,
    NameQueried,
    ProcessStarted,
)
from vedette.ports.discover import sensor_classes
from vedette.ports.sensor import SensorContext
from vedette.sensors import _file_events, procfs, scan
from vedette.sensors.proc_connector import ProcConnectorSensor

EVERY = all_tiers()
TICKS = 6
CONTEXT = SensorContext(lambda _: None, Path("/nowhere"), Path("/nowhere"))
USERS = {0: "root"}


def table() -> ProcessTable:
    """A shell of BusyBox (10) that runs its wget (11)."""
    processes = ProcessTable()
    shell = ProcessStarted(1.0, "x", 10, 1, 5, "/bin/busybox", "sh", "sh", True, 0, 0, "", "", 0, 0)
    processes.start(shell)
    processes.start(shell._replace(pid=11, ppid=10, start_ticks=TICKS, argv0="wget"))
    return processes


def audited() -> list[Event]:
    head = b"audit(1795265963.033:11): "
    call = (
        b"arch=c000003e syscall=%d success=yes exit=0 a0=1 a1=1 a2=0 a3=8 items=2 ppid=10 pid=11 "
        b"auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) "
        b'ses=1 comm="x" exe="/bin/busybox" key="k"'
    )
    out: list[Event] = []
    join = audit.AuditJoin("audit")
    join.read(audit.AUDIT_SYSCALL, head + call % 59, out)
    join.read(audit.AUDIT_EXECVE, head + b'argc=2 a0="wget" a1=612062', out)
    join.read(audit.AUDIT_SYSCALL, head.replace(b":11", b":12") + call % 101, out)
    join.flush(out)
    return out


def of_ebpf() -> list[Event]:
    arguments, environment = b"wget\0a b\0", b"LD_PRELOAD=/x\0"
    records = (
        ebpf.EXEC.pack(
            1, ebpf.KIND_EXEC, 0, 11, 1, 7, 8, 5, 9, 10, 0, 0, 12, 4, len(arguments),
            len(environment),
        ) + b"busybox\0bin\0tmp\0" + arguments + environment,
        ebpf.SOCKET.pack(
            1, ebpf.KIND_CONNECTION, ebpf.IS_INITIATED, 11, 0, 6, 2, 1, 2, 0, bytes(range(16)),
            bytes(range(16)),
        ),
        ebpf.SOCKET.pack(
            1, ebpf.KIND_CONNECTION, 0, 11, 0, 6, 2, 1, 2, 0, bytes(range(16)), bytes(range(16)),
        ),
        ebpf.SOCKET.pack(1, ebpf.KIND_LISTENER, 0, 11, 0, 6, 2, 1, 2, 0, bytes(16), bytes(16)),
        ebpf.ACTIVITY.pack(1, ebpf.KIND_ACTIVITY, 0, 11, 0, 4, 5, 0) + b"/mnt\0",
    )  # fmt: skip
    out: list[Event] = []
    reader = ebpf.RecordReader("ebpf", 100, variables=frozenset((b"LD_PRELOAD",)))
    for record in records:
        reader.read(record, out)
    return out


def of_connector() -> list[Event]:
    sensor = ProcConnectorSensor(CONTEXT)
    event = connector.ProcEvent(connector.PROC_EVENT_EXEC, 0, 0, 10**18, 11, 11)
    stat = Path("/proc/self/stat").read_bytes()
    return [sensor._started(event, 0, stat, b"/bin/busybox", b"wget\0a b\0", 0.0)]


def of_procfs() -> list[Event]:
    stat = parse_stat(Path("/proc/self/stat").read_bytes())
    return [procfs._started(stat, time.monotonic())._replace(ppid=10)]


def of_files(tier: str, pid: int, folder: Path) -> list[Event]:
    program = folder / "program"
    program.write_bytes(b"")
    program.chmod(0o6755)
    changed = _file_events.changes(CREATE, 1.0, tier, str(program), pid, is_directory=False)
    below = _file_events.renamed(1.0, tier, str(folder), "/old", pid, is_directory=True)
    running = _file_events.changes(DELETE, 1.0, tier, "/bin/busybox", pid, is_directory=False)
    return [*changed, below, *running]


def of_scan() -> list[Event]:
    file = FileRecord("/bin/busybox", "file", 0o106755, 0, 0, 1, 1, 1, 1, "ab" * 32, "")
    folder = file._replace(kind="dir", path="/d")
    hint = Hint(11, "/bin/busybox", 1.0)
    return [
        scan._event(Difference("changed", file.path, ("content",), file, file, ""), hint),
        scan._event(Difference("added", folder.path, (), None, folder, ""), None),
    ]


def connections(tier: str) -> list[Event]:
    is_told = tier != "procnet"
    opened = ConnectionOpened(
        1.0, tier, "tcp", True, "192.0.2.1", 1, "192.0.2.2", 2, 11, 0, is_told
    )
    return [opened, ListenerOpened(1.0, tier, "tcp", "::", 80, 11, 0)]


def filled(category: str, events: Iterable[Event]) -> set[str]:
    """The fields that these events fill."""
    return {name for event in events for name in enriched(category, event)}


def enriched(category: str, event: Event) -> dict[str, str]:
    processes = table()
    match event:
        case ProcessStarted() if category == "process_creation":
            process = processes.start(event)
            fields = enrich.process_creation(event, process, processes.get(event.ppid), USERS)
            enrich.mark_of_update(fields)
            return fields
        case FileChanged() if category == "file_event":
            return enrich.file_event(event, processes, USERS)
        case ConnectionOpened() if category == "network_connection":
            return enrich.network_connection(event, "a.example", processes.get(event.pid), USERS)
        case ConnectionOpened() if category == "network_sweep":
            sweep = Sweep("ports", 64, event, event.pid)
            return enrich.network_sweep(sweep, processes.get(event.pid), USERS)
        case ListenerOpened() if category == "listener_opened":
            return enrich.listener_opened(event, processes.get(event.pid), USERS)
        case NameQueried() if category == "dns_query":
            return enrich.dns_query(event)
        case KernelActivity() if category == "kernel_activity":
            return enrich.kernel_activity(event, processes.get(event.pid), USERS)
        case LogLine() if category == "service:":
            return enrich.log_line(event)
        case _:
            return {}


def events_of(tier: str, folder: Path) -> list[Event]:
    """Events of a tier as full as its own code makes them."""
    match tier:
        case "ebpf":
            events = of_ebpf()
        case "audit":
            events = audited()
        case "proc_connector":
            events = of_connector()
        case "procfs":
            events = of_procfs()
        case "fanotify":
            events = of_files(tier, 11, folder)
        case "inotify":
            events = of_files(tier, 0, folder)
        case "scan":
            events = of_scan()
        case "conntrack" | "procnet" | "listeners":
            events = connections(tier)
        case "dns":
            events = [NameQueried(1.0, tier, "a.example", 1)]
        case _:
            events = [LogLine(1.0, tier, "sshd", "Accepted", 11)]
    return [*events, *(more for event in events for more in of_busybox(event))]


def of_busybox(event: Event) -> list[Event]:
    """The same by a multi-call program, and cut: no tier differs in these."""
    if not isinstance(event, ProcessStarted):
        return []
    wget = event._replace(image="/bin/busybox", argv0="wget", ppid=10)
    return [wget, wget._replace(is_complete=False), wget._replace(arguments="wget\0a b")]


@pytest.mark.parametrize(
    ("category", "tier"), [(name, tier) for name in EVENT_FIELDS for tier in tiers_of(name)]
)
def test_a_tier_fills_what_is_declared_and_nothing_else(
    category: str, tier: str, tmp_path: Path
) -> None:
    found = filled(category, events_of(tier, tmp_path))
    assert found == fields_of_tier(category, tier, EVERY) - set(ARGUMENTS)


def test_arguments_come_with_the_command_line() -> None:
    for tier in tiers_of("process_creation"):
        fields = fields_of_tier("process_creation", tier, EVERY)
        assert {"CommandLine", *ARGUMENTS} <= fields
    assert argument({"CommandLine": "a b"}, 1) == "b"


def test_names_of_hosts_need_the_answers_of_the_dns() -> None:
    known = fields_of_tier("network_connection", "ebpf", ("ebpf",))
    assert "DestinationHostname" not in known
    assert "DestinationIp" in known


def test_every_tier_of_every_sensor_is_declared() -> None:
    tiers = [tier for kind in sensor_classes(sensors) for tier in kind.tiers]
    offered = {(tier.event_class, tier.name) for tier in tiers}
    declared = {(class_of(name), tier) for name in EVENT_FIELDS for tier in tiers_of(name)}
    assert declared == offered | {(EventClass.NETWORK, "dns")}
    assert set(BEST_EFFORT) <= set(EVERY)


def test_ladders_are_declared_best_first() -> None:
    ranks = {
        (tier.event_class, tier.name): tier.rank
        for kind in sensor_classes(sensors)
        for tier in kind.tiers
    }
    for category in EVENT_FIELDS:
        declared = [
            rank
            for name in tiers_of(category)
            if (rank := ranks.get((class_of(category), name))) is not None  # type: ignore[arg-type]
        ]
        assert declared == sorted(declared, reverse=True), category


def test_a_tier_says_no_value_that_is_not_declared() -> None:
    told = {
        scan._event(Difference(change, "/x", ("content", "mode"), None, None, ""), None).action
        for change in get_args(Change)
    }
    assert told <= (values_of_tier("file_event", "scan", "Action") or set())
    activities = {"audit": set(audit._ACTIVITIES.values()), "ebpf": set(ebpf.ACTIVITIES)}
    for tier, all_told in activities.items():
        assert values_of_tier("kernel_activity", tier, "Activity") is None
        assert all_told == set(get_args(Activity)), tier
