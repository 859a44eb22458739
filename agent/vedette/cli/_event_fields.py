"""Which fields the events of each category have: what a rule can hope to see."""

from __future__ import annotations

from collections.abc import Mapping

# fmt: off
EVENT_FIELDS: Mapping[str, frozenset[str]] = {
    "process_creation": frozenset((
        "Image", "ImageAlias", "CommandLine", "Argv0", "ParentImage", "ParentImageAlias",
        "ParentCommandLine", "Ancestors", "CurrentDirectory", "User", "UserId", "LogonId",
        "ProcessId", "ParentProcessId",
    )),
    "file_event": frozenset((
        "TargetFilename", "Action", "OldFilename", "Image", "ImageAlias", "CommandLine", "User",
        "Mode", "Setuid", "Setgid", "Executable", "TargetRunning", "IsDirectory", "Digest", "Tier",
    )),
    "network_connection": frozenset((
        "Initiated", "Protocol", "SourceIp", "SourcePort", "DestinationIp", "DestinationPort",
        "DestinationHostname", "Image", "ImageAlias", "CommandLine", "User",
    )),
    "network_sweep": frozenset((
        "SweepKind", "DistinctCount", "DestinationIp", "Image", "ImageAlias", "SourceIp",
    )),
    "dns_query": frozenset(("QueryName",)),
    "kernel_activity": frozenset((
        "Activity", "Target", "Image", "ImageAlias", "CommandLine", "User",
    )),
    "listener_opened": frozenset((
        "Protocol", "Address", "Port", "Image", "ImageAlias", "CommandLine", "User",
    )),
    "service:": frozenset(("Message",)),
}
# fmt: on
