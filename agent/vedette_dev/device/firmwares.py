"""Firmwares made from an image's slot: a good one, and those with which a device must go back.

Rule 1: each is the whole slot with a few files changed, so that what is written and verified is a
firmware's size; the kernel and most blocks are those of the slot that runs.
Rule 2: what makes one bad is done as it happens in the field: a program that is missing, one that
never returns, a service that does not work.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vedette_dev.device import ext4
from vedette_dev.device.site import UNWELL
from vedette_dev.images.build import copy

VERSION = "/etc/vedette-firmware"
"""Holds the version, for whoever asks what runs."""
INIT = "/usr/sbin/init"
_HANGS = "#!/bin/sh\necho firmware: hangs\nwhile :; do /bin/sleep 1000; done\n"
"""As the first process it starts nothing else, and nobody feeds the watchdog."""


def good(slot: Path, target: Path, version: str) -> Path:
    """A firmware that works."""
    return _made(slot, target, version, lambda _: None)


def panics(slot: Path, target: Path, version: str) -> Path:
    """A firmware whose kernel finds no first process."""
    return _made(slot, target, version, lambda image: ext4.remove(image, INIT))


def hangs(slot: Path, target: Path, version: str) -> Path:
    """A firmware whose first process does nothing for ever."""
    return _made(slot, target, version, lambda image: ext4.put(image, _HANGS, INIT, 0o755))


def unwell(slot: Path, target: Path, version: str) -> Path:
    """A firmware that starts, and whose health gate fails."""
    said = "the service does not work\n"
    return _made(slot, target, version, lambda image: ext4.put(image, said, UNWELL))


def _made(slot: Path, target: Path, version: str, change: Callable[[Path], None]) -> Path:
    copy(slot, target)
    ext4.put(target, f"{version}\n", VERSION)
    change(target)
    return target
