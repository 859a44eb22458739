"""Which fields the events of each category have (core/enrich.py): what a rule can hope to see."""

from __future__ import annotations

from collections.abc import Mapping

from vedette.core.arguments import MAX_PLACE

ARGUMENTS = tuple(f"a{place}" for place in range(1, MAX_PLACE + 1))

_PROCESS = (
    "Image", "ImageAlias", "CommandLine", "ProcessId", "Ancestors", "User",
)  # fmt: skip
"""Of the process that did it, where the tier knows it."""

EVENT_FIELDS: Mapping[str, frozenset[str]] = {
    "process_creation": frozenset((
        *_PROCESS, "Argv0", "ParentImage", "ParentImageAlias", "ParentCommandLine",
        "ParentProcessId", "CurrentDirectory", "UserId", "LogonId", "CommandLineIncomplete",
        "Arguments", "Environment", "ParentIsUpdate", *ARGUMENTS,
    )),
    "file_event": frozenset((
        *_PROCESS, "TargetFilename", "Action", "OldFilename", "Mode", "Setuid", "Setgid",
        "Executable", "TargetRunning", "IsDirectory", "Digest", "Tier", "Owner",
    )),
    "network_connection": frozenset((
        *_PROCESS, "Initiated", "Protocol", "SourceIp", "SourcePort", "DestinationIp",
        "DestinationPort", "DestinationHostname", "Established",
    )),
    "network_sweep": frozenset((
        *_PROCESS, "SweepKind", "DistinctCount", "SourceIp", "DestinationIp", "DestinationPort",
        "Initiated", "Protocol", "Established",
    )),
    "dns_query": frozenset(("QueryName", "QueryType")),
    "kernel_activity": frozenset((*_PROCESS, "Activity", "Target")),
    "listener_opened": frozenset((*_PROCESS, "Protocol", "Address", "Port")),
    "service:": frozenset(("Message", "Service")),
}  # fmt: skip

SHOWN_FIELDS: Mapping[str, tuple[str, ...]] = {
    "process_creation": ("Image", "ImageAlias", "CommandLine", "ParentImage", "User"),
    "file_event": ("TargetFilename", "Action", "Image", "CommandLine", "User"),
    "network_connection": (
        "DestinationIp", "DestinationPort", "DestinationHostname", "Protocol", "Image",
        "CommandLine", "User",
    ),
    "network_sweep": ("SweepKind", "DistinctCount", "SourceIp", "DestinationIp", "Image"),
    "dns_query": ("QueryName",),
    "kernel_activity": ("Activity", "Target", "Image", "CommandLine", "User"),
    "listener_opened": ("Protocol", "Address", "Port", "Image", "CommandLine", "User"),
    "service:": ("Message", "Service"),
}  # fmt: skip
"""What a person needs to see of a finding, whatever the rule looked at."""


def fields_of_category(category: str) -> frozenset[str]:
    """The fields that events of a category may have; none for one that nothing of ours gives."""
    if category == "service:auditd":  # a daemon of its own, whose records no sensor reads
        return frozenset()
    return EVENT_FIELDS.get(
        "service:" if category.startswith("service:") else category, frozenset()
    )


def shown_fields(category: str) -> tuple[str, ...]:
    """The fields that a finding of a category shows after the rule's own."""
    return SHOWN_FIELDS.get("service:" if category.startswith("service:") else category, ())
