"""Records every write of a device's disk while a firmware comes, is tried and is committed.

Rule 1: what left the device is noted with how much of the log there was by then: an entry that was
told was on the disk before, whatever a cut does afterwards.
Rule 2: a recording is whole once it has its RECORD: whoever finds that can cut it, also later.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vedette.errors import DeviceError
from vedette.model.update import Step
from vedette.store import durable
from vedette_dev.device import firmwares
from vedette_dev.device.block_log import BlockLog
from vedette_dev.device.owners import owners_of
from vedette_dev.device.power_cuts import Promise
from vedette_dev.device.services import await_agent, await_update, begin_update
from vedette_dev.device.site import Site
from vedette_dev.guests import Guest, GuestSettings
from vedette_dev.images import Image
from vedette_dev.images.build import copy

UPDATE_S = 900.0
SITE, RECORDING = "site", "recording"
"""Folders of the host's side, and of the guest with its disk and logs."""
RECORD = "recording.json"
DISK = "disk-before.img"


class Heard(NamedTuple):
    """What the fleet heard, and how long which log was by then."""

    log: int
    size_bytes: int
    word: str
    counter: int


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """A whole recording, as it lies in its folder.

    Attributes:
        folder: with the disk from before and the logs.
        logs: of its starts, in their order.
        heard: what had left the device.
        firmwares: names of what a slot may hold ("old", "new"), by SHA-256.
        image_bytes: of a firmware.
        took_s: how long it took.
    """

    folder: Path
    logs: tuple[Path, ...]
    heard: tuple[Heard, ...]
    firmwares: Mapping[bytes, str]
    image_bytes: int
    took_s: int

    @property
    def disk(self) -> Path:
        """The disk as it was before; never written to."""
        return self.folder / DISK

    def promises(self, log: BlockLog) -> list[Promise]:
        """What had arrived, by the number of entries that were written by then."""
        return [
            Promise(log.count(one.log, one.size_bytes), one.word, one.counter) for one in self.heard
        ]

    def is_of(self, image: Image) -> bool:
        """Whether the device began with this image's firmware."""
        return self.firmwares.get(sha256(image.slot_image)) == "old"

    def write(self) -> None:
        """Make it a whole one.

        Raises:
            StoreError: the disk is full.
        """
        values = {
            "logs": [path.name for path in self.logs],
            "heard": self.heard,
            "firmwares": {digest.hex(): name for digest, name in self.firmwares.items()},
            "image_bytes": self.image_bytes,
            "took_s": self.took_s,
        }
        durable.write(self.folder / RECORD, json.dumps(values, indent=1).encode())


def read(folder: Path) -> Recorded | None:
    """The whole recording of a folder; None where it has none.

    Raises:
        DeviceError: what is there is no recording.
    """
    place = folder / RECORD
    if not place.exists():
        return None
    try:
        values: dict[str, Any] = json.loads(place.read_bytes())
        return Recorded(
            folder,
            tuple(folder / name for name in values["logs"]),
            tuple(Heard(*one) for one in values["heard"]),
            {bytes.fromhex(digest): name for digest, name in values["firmwares"].items()},
            values["image_bytes"],
            values["took_s"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeviceError(f"{place}: expected a recording, got {error!r}: remove it") from error


def record(rules: Path, folder: Path, image: Image, say: Callable[[str], None]) -> Recorded:
    """Record the whole way of a firmware; what an earlier one left in the folder goes.

    Args:
        rules: the device's.
        folder: SITE and RECORDING are made in it.
        image: what the device is made of.
        say: takes lines for people.

    Raises:
        DeviceError: the update itself did not succeed.
    """
    for name in (SITE, RECORDING):
        shutil.rmtree(folder / name, ignore_errors=True)
    with Site(folder / SITE, device_of(image), rules=rules) as site:
        settings = GuestSettings(data=site.data(owners_of(image)), forwards=site.forwards)
        with Guest(image, folder / RECORDING, settings) as guest:
            say(f"recording  a firmware's whole way, in {folder}")
            made = Recording(guest, site)
            made.boot()
            new = play_update(made, guest, site, image)
            guest.disk.unlink()
            return made.end(image.slot_image, new)


def device_of(image: Image) -> str:
    """The name of the device that is recorded."""
    return f"cut-{image.arch}"


class Recording:
    """The recording of one guest; it is started by `boot`.

    Args:
        guest: entered, not started.
        site: whose device it is.
    """

    def __init__(self, guest: Guest, site: Site) -> None:
        self._guest, self._site = guest, site
        self._began_s = time.monotonic()
        self._lock = threading.Lock()
        self._heard: list[Heard] = []
        self._logs: list[Path] = []
        copy(guest.disk, guest.folder / DISK)
        site.on_heard = self._hear

    def boot(self) -> None:
        """Start the device with a log of its own for this start; its agent is ready then."""
        log = self._guest.folder / f"writes-{len(self._logs)}.log"
        log.write_bytes(b"")
        with self._lock:
            self._logs.append(log)
        self._guest.settings = dataclasses.replace(self._guest.settings, record=log)
        self._guest.boot()
        await_agent(self._guest)

    def end(self, old: Path, new: Path) -> Recorded:
        """What was recorded, written into the guest's folder.

        Args:
            old: the firmware that the device began with.
            new: the one that it has committed.

        Raises:
            StoreError: the disk is full.
        """
        with self._lock:
            made = Recorded(
                self._guest.folder,
                tuple(self._logs),
                tuple(self._heard),
                {sha256(old): "old", sha256(new): "new"},
                old.stat().st_size,
                round(time.monotonic() - self._began_s),
            )
        made.write()
        return made

    def _hear(self, word: str, counter: int) -> None:
        with self._lock:
            if self._logs:
                number = len(self._logs) - 1
                size = self._logs[number].stat().st_size
                self._heard.append(Heard(number, size, word, counter))


def play_update(recording: Recording, guest: Guest, site: Site, image: Image) -> Path:
    """Have the device take a good firmware, from its release to its commit; returns its image.

    Raises:
        DeviceError: it does not come to its commit.
    """
    made = firmwares.good(image.slot_image, site.folder / "new.img", "2.0")
    site.desk.release_firmware(made, "2.0")
    await_update(guest)  # one at a time: what is asked for beside the look of the start is refused
    begin_update(guest)
    guest.await_reset(UPDATE_S)
    recording.boot()
    site.steps.await_step(Step.COMMITTED, "firmware")
    guest.check("sync")
    guest.shut_down()
    return made


def sha256(path: Path) -> bytes:
    """Of a file of any size."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
