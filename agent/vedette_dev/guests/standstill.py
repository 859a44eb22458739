"""What is kept of a device that stands still: what it said, and where its processors are.

Rule: a start that stands still is rare and cannot be had again: all that the next reader may ask
for is written down before the device is given up.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from vedette.errors import DeviceError
from vedette_dev.guests.console import Console

LOOKS, BETWEEN_LOOKS_S = 3, 1.0
"""A processor that is at the same place each time waits; one that is not goes round."""


class StandsStillError(DeviceError):
    """A device that was started stands still, before its watchdog was armed.

    Attributes:
        place: the file with its console and where its processors are.
    """

    def __init__(self, what: str, place: Path) -> None:
        super().__init__(what)
        self.place = place


def keep(folder: Path, console: Console, ask: Callable[[str], str]) -> Path:
    """Write what is seen now into a new file of the guest's folder.

    Args:
        folder: of the guest.
        console: of the device.
        ask: what QEMU's monitor says to a command, "" where it does not answer.
    """
    looks = []
    for _ in range(LOOKS):
        looks.append(ask("info registers -a"))
        time.sleep(BETWEEN_LOOKS_S)
    place = next(one for one in map(folder.joinpath, _names()) if not one.exists())
    place.write_text("\n".join((console.said(), ask("info blockstats"), *looks)), encoding="utf-8")
    return place


def _names() -> Iterator[str]:
    return (f"still-{number}.log" for number in itertools.count(1))
