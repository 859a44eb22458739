"""Which source fills which field of which events: the one place where this is said.

Rule 1: EVENT_FIELDS (_event_fields.py) names what events of a category may have; this file names
what a tier never fills. tests/unit/cli/test_tier_fields.py asks the sensors' own code.
Rule 2: a tier that misses events by its nature is best effort, never presented as complete.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

from vedette import sensors
from vedette.cli._event_fields import fields_of_category
from vedette.model.event import EventClass
from vedette.ports.discover import sensor_classes

_CATEGORY_TIERS: Mapping[str, tuple[str, ...]] = {
    "process_creation": ("ebpf", "audit", "proc_connector", "procfs"),
    "file_event": ("fanotify", "inotify", "scan"),
    "network_connection": ("ebpf", "conntrack", "procnet"),
    "network_sweep": ("ebpf", "conntrack", "procnet"),
    "listener_opened": ("ebpf", "listeners"),
    "dns_query": ("dns",),
    "kernel_activity": ("ebpf", "audit"),
    "service:": ("journald", "log_file"),
}
"""Best first."""

_CATEGORY_CLASSES: Mapping[str, EventClass] = {
    "process_creation": EventClass.PROCESS,
    "file_event": EventClass.FILE,
    "network_connection": EventClass.NETWORK,
    "network_sweep": EventClass.NETWORK,
    "listener_opened": EventClass.NETWORK,
    "dns_query": EventClass.NETWORK,
    "kernel_activity": EventClass.KERNEL,
    "service:": EventClass.LOG,
}

_WRITER = ("Image", "ImageAlias", "CommandLine", "Ancestors", "User", "ProcessId")

_LACKS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("process_creation", "audit"): ("CurrentDirectory", "Environment"),
    ("process_creation", "proc_connector"): ("CurrentDirectory", "LogonId", "Environment"),
    ("process_creation", "procfs"): ("LogonId", "Environment"),
    ("file_event", "fanotify"): ("Digest",),
    ("file_event", "inotify"): ("Digest", *_WRITER),
    ("file_event", "scan"): ("OldFilename",),
    ("network_connection", "procnet"): ("Established",),
    ("network_sweep", "procnet"): ("Established",),
}

_VALUES: Mapping[tuple[str, str, str], frozenset[str]] = {
    ("file_event", "scan", "Action"): frozenset(("created", "modified", "deleted", "attributes")),
}

"""Where a tier does not tell all the values that a field may have."""

BEST_EFFORT: Mapping[str, str] = {
    "proc_connector": "no command line of most programs that end within a millisecond",
    "procfs": "no process that ends between two looks, 2 s apart",
    "scan": "no change that is undone between two scans",
    "procnet": "no connection that ends between two looks",
    "listeners": "no listener that comes and goes between two looks",
    "dns": "a hint: what is read of packets, without the process",
}
"""Tiers that do not see every event, and what they miss."""

_NAMES_TIER = "dns"
_NAMED = "DestinationHostname"  # comes from answers of the DNS, whatever tier saw the connection


def tiers_of(category: str) -> tuple[str, ...]:
    """The tiers that give events of a category, best first; none for one that nothing gives."""
    if not fields_of_category(category):
        return ()
    declared = _CATEGORY_TIERS.get(_general(category), ())
    return tuple(tier for tier in declared if (class_of(category), tier) in _offered())


def class_of(category: str) -> EventClass | None:
    """The class that a category's ladder belongs to."""
    return _CATEGORY_CLASSES.get(_general(category))


def all_tiers() -> tuple[str, ...]:
    """Every tier, in the order of the classes, best first."""
    return tuple(dict.fromkeys(tier for name in _CATEGORY_TIERS for tier in tiers_of(name)))


def fields_of_tier(category: str, tier: str, tiers: Collection[str]) -> frozenset[str]:
    """What a tier fills of a category's fields, on a device that has these tiers."""
    lacks = frozenset(_LACKS.get((_general(category), tier), ()))
    if _NAMES_TIER not in tiers:
        lacks |= {_NAMED}
    return fields_of_category(category) - lacks


def values_of_tier(category: str, tier: str, field: str) -> frozenset[str] | None:
    """The values that a tier gives a field, None where any may come."""
    return _VALUES.get((_general(category), tier, field))


@cache
def _offered() -> frozenset[tuple[EventClass | None, str]]:
    """What the sensors there are offer: a tier may serve one class and not another."""
    tiers = [tier for kind in sensor_classes(sensors) for tier in kind.tiers]
    return frozenset(
        [*((tier.event_class, tier.name) for tier in tiers), (EventClass.NETWORK, _NAMES_TIER)]
    )


def _general(category: str) -> str:
    return "service:" if category.startswith("service:") else category
