from __future__ import annotations

from vedette.cli._event_fields import EVENT_FIELDS, SHOWN_FIELDS, shown_fields
from vedette.core import enrich
from vedette.core.process_table import ProcessTable
from vedette.core.sweep import Sweep
from vedette.model.event import (
    ConnectionOpened,
    FileChanged,
    KernelActivity,
    ListenerOpened,
    LogLine,
    NameQueried,
    ProcessStarted,
)

USERS = {0: "root"}
TABLE = ProcessTable()
PARENT = TABLE.start(
    ProcessStarted(1.0, "audit", 10, 1, 5, "/bin/busybox", "sh", "sh", True, 0, 0, "/", "", 1, 1)
)
EXEC = ProcessStarted(
    2.0, "audit", 11, 10, 6, "/bin/busybox", "wget", "wget x", True, 0, 0, "/", "", 1, 1
)
PROCESS = TABLE.start(EXEC)
CONNECTION = ConnectionOpened(3.0, "conntrack", "tcp", True, "::1", 1, "::1", 2, 11, 0)

EVENTS = {
    "process_creation": enrich.process_creation(EXEC, PROCESS, PARENT, USERS),
    "file_event": enrich.file_event(
        FileChanged(3.0, "fanotify", "renamed", "/b", "/bin/busybox", 11, 0o104755, 0, False, "ab"),
        TABLE,
        USERS,
    ),
    "network_connection": enrich.network_connection(CONNECTION, "a.example", PROCESS, USERS),
    "network_sweep": enrich.network_sweep(Sweep("ports", 64, CONNECTION, 11), PROCESS, USERS),
    "listener_opened": enrich.listener_opened(
        ListenerOpened(3.0, "procnet", "tcp", "::", 80, 11, 0), PROCESS, USERS
    ),
    "dns_query": enrich.dns_query(NameQueried(3.0, "dns", "a.example", 1)),
    "kernel_activity": enrich.kernel_activity(
        KernelActivity(3.0, "audit", "mount", 11, 0, "/bin/mount", "/mnt"), PROCESS, USERS
    ),
    "service:": enrich.log_line(LogLine(3.0, "journald", "sshd", "Accepted", 11)),
}


def test_rules_may_name_every_field_that_events_have() -> None:
    for category, fields in EVENTS.items():
        assert set(fields) <= EVENT_FIELDS[category], category


def test_every_category_of_events_is_known() -> None:
    assert set(EVENTS) == set(EVENT_FIELDS) == set(SHOWN_FIELDS)


def test_what_is_shown_is_there() -> None:
    for category, shown in SHOWN_FIELDS.items():
        assert set(shown) <= EVENT_FIELDS[category], category
    assert shown_fields("service:sshd") == ("Message", "Service")
    assert shown_fields("unheard") == ()
