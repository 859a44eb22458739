"""The topics of a fleet: `fleet/v1/{tenant}/{device}/...`, and of its groups.

Rule 1: tenant and device are lower-case letters, digits and hyphens, 1 to 64 of them: wildcards and
separators in names have broken brokers' access lists before (GHSA-vcg2-pq78-9mhr).
Rule 2: only the suffixes listed here exist; at most seven slashes, so that every broker takes them.
Rule 3: what is for a whole group travels below `_group`, which can be no device's name.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vedette.errors import ParseError

ROOT = "fleet/v1"
STATE = "state"
BIRTH = "birth"
FINDING = "up/finding"
UPDATE = "up/update"
RECEIPT = "up/receipt"
COLLECTED = "up/collected"
COMMAND = "down/cmd"
GROUPS = "_group"

_SEGMENT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_SUFFIX = re.compile(
    r"state|birth|up/(?:finding|update|model|posture|evidence|receipt|collected)|down/[a-z][a-z0-9-]{0,31}"
)
_PARTS = 4  # fleet, v1, tenant, device


class Topic(NamedTuple):
    """A topic of one device; `suffix` is what follows the device, such as "up/finding"."""

    tenant: str
    device: str
    suffix: str


def is_segment(text: str) -> bool:
    """Whether text may name a tenant or a device."""
    return _SEGMENT.fullmatch(text) is not None


def build(tenant: str, device: str, suffix: str) -> str:
    """The full topic.

    Raises:
        ValueError: a part is not of the form that rules 1 and 2 demand.
    """
    for word, text in (("tenant", tenant), ("device", device)):
        if not is_segment(text):
            raise ValueError(
                f"expected a {word} of 1 to 64 characters a-z, 0-9 and inner hyphens, got {text!a}"
            )
    if _SUFFIX.fullmatch(suffix) is None:
        raise ValueError(f"expected a suffix such as up/finding or state, got {suffix!a}")
    return f"{ROOT}/{tenant}/{device}/{suffix}"


def for_commands(tenant: str, name: str, *, is_group: bool) -> str:
    """The topic on which a device, or all devices of a group, hear their operators.

    Raises:
        ValueError: a part is not of the form that rule 1 demands.
    """
    if not is_group:
        return build(tenant, name, COMMAND)
    if not (is_segment(tenant) and is_segment(name)):
        raise ValueError(f"expected tenant and group as topics have them, got {tenant!a}, {name!a}")
    return f"{ROOT}/{tenant}/{GROUPS}/{name}/{COMMAND}"


def parse(topic: str) -> Topic:
    """Read a topic back.

    Raises:
        ParseError: it is not one that `build` gives.
    """
    parts = topic.split("/", _PARTS)
    if len(parts) != _PARTS + 1 or f"{parts[0]}/{parts[1]}" != ROOT:
        raise ParseError(f"expected {ROOT}/TENANT/DEVICE/..., got {topic[:128]!a}")
    tenant, device, suffix = parts[2:]
    if not is_segment(tenant):
        raise ParseError(f"expected a tenant, got {tenant[:80]!a}", len(ROOT) + 1)
    if not is_segment(device):
        raise ParseError(f"expected a device, got {device[:80]!a}", len(ROOT) + len(tenant) + 2)
    if _SUFFIX.fullmatch(suffix) is None:
        raise ParseError(f"expected a known suffix, got {suffix[:80]!a}", len(topic) - len(suffix))
    return Topic(tenant, device, suffix)


def subscriptions(tenant: str = "") -> tuple[str, ...]:
    """Filters for all that devices say, of one tenant or ("") of all."""
    who = f"{ROOT}/{tenant or '+'}/+"
    return (f"{who}/up/#", f"{who}/{STATE}", f"{who}/{BIRTH}")
