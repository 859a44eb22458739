"""Modifiers of Sigma 2: which the compiler takes, and what it says of the others.

Rule 1: the list is the specification's (sigma-modifiers, 2.1); one that is not in it is a mistake.
Rule 2: a modifier that no event of ours could ever serve is refused by name, never passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vedette.cli._sigma_document import Document, Key

# fmt: off
SUPPORTED = frozenset((
    "all", "base64", "base64offset", "cased", "cidr", "contains", "dotall", "endswith", "exists",
    "expand", "fieldref", "gt", "gte", "i", "ignorecase", "lt", "lte", "m", "multiline", "neq",
    "re", "s", "startswith", "utf16", "utf16be", "utf16le", "wide", "windash",
))
# fmt: on

_NO_TIME = "no field of our events is a time of day; correlate, or leave it to whoever reads"
REFUSED: Mapping[str, str] = dict.fromkeys(
    ("minute", "hour", "day", "week", "month", "year"), _NO_TIME
)

_SAME = {"utf16le": "wide"}
"""The specification's names that pySigma 2.0 knows under another one."""


def check(document: Document, key: Key) -> None:
    """Refuse a modifier where it stands.

    Raises:
        RuleError: the key names a modifier that cannot be run.
    """
    field, *modifiers = key.path[-1].split("|")
    skip = len(field) + 1
    for modifier in modifiers:
        if modifier in REFUSED:
            document.refuse(
                f"expected a modifier that a device can run, got {modifier!r}: {REFUSED[modifier]}",
                key,
                skip=skip,
            )
        if modifier not in SUPPORTED:
            document.refuse(
                f"expected one of the modifiers {', '.join(sorted(SUPPORTED))}; got {modifier!r}",
                key,
                skip=skip,
            )
        skip += len(modifier) + 1


def spelled(detection: Any) -> Any:
    """A detection with the modifiers that pySigma calls otherwise under its own names."""
    if isinstance(detection, list):
        return [spelled(item) for item in detection]
    if not isinstance(detection, dict):
        return detection
    return {spelled_key(str(key)): spelled(item) for key, item in detection.items()}


def spelled_key(key: str) -> str:
    """One key of a detection as pySigma spells it."""
    field, *modifiers = key.split("|")
    return "|".join([field, *(_SAME.get(modifier, modifier) for modifier in modifiers)])
