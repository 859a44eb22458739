"""Tiers: how good a source is on this kernel, in words a person can act on."""

from __future__ import annotations

from dataclasses import dataclass

from vedette.model.event import EventClass


@dataclass(frozen=True, slots=True)
class Tier:
    """What one source offers for one class of events.

    Attributes:
        rank: its rung; the highest that works is taken (eBPF is 100).
        sees: what it sees, one short line.
        misses: what it cannot see, one line each.
        lift: what would lift the device to this tier when it fails (kernel option, capability,
            package), one line each.
    """

    event_class: EventClass
    name: str
    rank: int
    sees: str
    misses: tuple[str, ...]
    lift: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TierReport:
    """Where one class of events stands on this device.

    Attributes:
        tier: the tier in use, or None when nothing watches the class.
        failures: (tier name, reason) of the better ones that did not work, best first.
    """

    event_class: EventClass
    tier: Tier | None
    failures: tuple[tuple[str, str], ...]
