"""From events to what rules look at: a category and Sigma's fields.

Rule 1: field names are Sigma's where Sigma has one; ours are listed in docs/fields.md.
Rule 2: a field that is not known is absent, so that `exists` and Not mean what they say; only text
goes in, numbers in decimal.
Rule 3: this is the hot path: one dict per event, nothing computed that was computed before.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import TypeAlias

from vedette.core.process_table import Process, ProcessTable
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

Fields: TypeAlias = dict[str, str]
Users: TypeAlias = Mapping[int, str]


def process_creation(
    event: ProcessStarted, process: Process, parent: Process | None, users: Users
) -> Fields:
    """Sigma category process_creation."""
    uid = event.uid
    fields = {
        "Image": event.image,
        "CommandLine": event.command_line,
        "Argv0": event.argv0,
        "ProcessId": str(event.pid),
        "ParentProcessId": str(process.ppid),
    }
    if event.arguments:
        fields["Arguments"] = event.arguments
    if not event.is_complete:
        _mark_incomplete(fields)
    if uid >= 0:
        fields["User"] = users.get(uid) or str(uid)
        fields["UserId"] = str(uid)
    if event.login_uid >= 0:
        fields["LogonId"] = str(event.login_uid)
    if process.alias:
        fields["ImageAlias"] = process.alias
    if event.cwd:
        fields["CurrentDirectory"] = event.cwd
    if event.environment:
        fields["Environment"] = event.environment
    if parent is not None:
        fields["ParentImage"] = parent.image
        fields["ParentCommandLine"] = parent.command_line
        fields["Ancestors"] = process.lineage
        if parent.alias:
            fields["ParentImageAlias"] = parent.alias
    return fields


def mark_of_update(fields: Fields) -> None:
    """Say of a process that a process of the device's own update began it."""
    fields["ParentIsUpdate"] = "true"


def _mark_incomplete(fields: Fields) -> None:
    """Say that arguments were cut, or ended before they could be read; drop what is unknown."""
    fields["CommandLineIncomplete"] = "true"
    for name in ("Image", "CommandLine", "Argv0"):
        if not fields[name]:
            del fields[name]


def standing_process(process: Process, users: Users) -> Fields:
    """A process that was there before its start could be told."""
    fields: Fields = {}
    _who(fields, process, users)
    return fields


def file_event(event: FileChanged, table: ProcessTable, users: Users) -> Fields:
    """Sigma category file_event."""
    fields = {"TargetFilename": event.path, "Action": event.action, "Tier": event.tier}
    if event.old_path:
        fields["OldFilename"] = event.old_path
    if event.mode >= 0:
        fields["Mode"] = f"{stat.S_IMODE(event.mode):04o}"
        if not event.is_directory:
            _mode_fields(fields, event.mode)
    if event.is_directory:
        fields["IsDirectory"] = "true"
    if event.digest:
        fields["Digest"] = event.digest
    if event.uid >= 0:
        fields["Owner"] = users.get(event.uid) or str(event.uid)
    gone = event.old_path if event.action == "renamed" else event.path
    if event.action in {"deleted", "renamed", "modified"} and table.is_running(gone, event.at_s):
        fields["TargetRunning"] = "true"
    _who(fields, table.get(event.pid), users)
    return fields


def network_connection(
    event: ConnectionOpened, name: str, process: Process | None, users: Users
) -> Fields:
    """Sigma category network_connection."""
    fields = {
        "Initiated": "true" if event.is_initiated else "false",
        "Protocol": event.protocol,
        "DestinationIp": event.destination_ip,
        "DestinationPort": str(event.destination_port),
    }
    if event.source_ip:
        fields["SourceIp"] = event.source_ip
    if event.source_port:
        fields["SourcePort"] = str(event.source_port)
    if event.is_established:
        fields["Established"] = "true"
    if name:
        fields["DestinationHostname"] = name
    if process is None and event.uid >= 0:
        fields["User"] = users.get(event.uid) or str(event.uid)
    _who(fields, process, users)
    return fields


def network_sweep(sweep: Sweep, process: Process | None, users: Users) -> Fields:
    """Our category network_sweep: one source, many targets."""
    fields = {
        "SweepKind": sweep.kind,
        "DistinctCount": str(sweep.distinct),
        "SourceIp": sweep.connection.source_ip,
        "DestinationIp": sweep.connection.destination_ip,
        "DestinationPort": str(sweep.connection.destination_port),
        "Initiated": "true" if sweep.connection.is_initiated else "false",
        "Protocol": sweep.connection.protocol,
    }
    if sweep.connection.is_established:
        fields["Established"] = "true"
    _who(fields, process, users)
    return fields


def listener_opened(event: ListenerOpened, process: Process | None, users: Users) -> Fields:
    """Our category listener_opened."""
    fields = {"Protocol": event.protocol, "Address": event.address, "Port": str(event.port)}
    _who(fields, process, users)
    return fields


def dns_query(event: NameQueried) -> Fields:
    """Sigma category dns_query; the packet does not say which process asked."""
    return {"QueryName": event.name, "QueryType": str(event.query_type)}


def kernel_activity(event: KernelActivity, process: Process | None, users: Users) -> Fields:
    """Our category kernel_activity."""
    fields = {"Activity": event.activity, "Target": event.target, "ProcessId": str(event.pid)}
    if event.uid >= 0:
        fields["User"] = users.get(event.uid) or str(event.uid)
    _who(fields, process, users)
    if event.image:
        fields["Image"] = event.image
    return fields


def log_line(event: LogLine) -> Fields:
    """Sigma's keyword log sources, category "service:<name>"."""
    return {"Message": event.message, "Service": event.service}


def _who(fields: Fields, process: Process | None, users: Users) -> None:
    if process is None:
        return
    fields["Image"] = process.image
    fields["CommandLine"] = process.command_line
    fields["ProcessId"] = str(process.pid)
    if process.alias:
        fields["ImageAlias"] = process.alias
    if process.lineage:
        fields["Ancestors"] = process.lineage
    if process.uid >= 0:
        fields["User"] = users.get(process.uid) or str(process.uid)


def _mode_fields(fields: Fields, mode: int) -> None:
    if mode & stat.S_ISUID:
        fields["Setuid"] = "true"
    if mode & stat.S_ISGID:
        fields["Setgid"] = "true"
    if mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
        fields["Executable"] = "true"
