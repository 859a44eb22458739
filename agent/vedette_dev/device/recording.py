"""Records every write of a device's disk while a firmware comes, is tried and is committed.

Rule: what left the device is noted with how much of the log there was by then: an entry that was
told was on the disk before, whatever a cut does afterwards.
"""

from __future__ import annotations

import dataclasses
import subprocess
import threading
from pathlib import Path
from typing import NamedTuple

from vedette.model.update import Step
from vedette_dev.device import firmwares
from vedette_dev.device.block_log import BlockLog
from vedette_dev.device.power_cuts import Promise
from vedette_dev.device.site import Site
from vedette_dev.guests import Guest
from vedette_dev.images import Image

READY_S = 180.0
UPDATE_S = 900.0


class Heard(NamedTuple):
    """What the fleet heard, and how long which log was by then."""

    log: int
    size_bytes: int
    word: str
    counter: int


class Recording:
    """The recording of one guest; it is started by `boot`.

    Args:
        guest: entered, not started.
        site: whose device it is.
    """

    def __init__(self, guest: Guest, site: Site) -> None:
        self._guest, self._site = guest, site
        self._lock = threading.Lock()
        self._heard: list[Heard] = []
        self.logs: list[Path] = []
        self.disk = guest.folder / "disk-before.img"
        subprocess.run(["cp", "--sparse=always", "--", guest.disk, self.disk], check=True)
        site.on_heard = self._hear

    def boot(self) -> None:
        """Start the device with a log of its own for this start; its agent is ready then."""
        log = self._guest.folder / f"writes-{len(self.logs)}.log"
        log.write_bytes(b"")
        with self._lock:
            self.logs.append(log)
        self._guest.settings = dataclasses.replace(self._guest.settings, record=log)
        self._guest.boot()
        # Joins the start that is under way; asking again and again would take its processor.
        self._guest.check("systemctl start vedette.service vedette-uplink.service", READY_S)

    def promises(self, log: BlockLog) -> list[Promise]:
        """What had arrived, by the number of entries that were written by then."""
        with self._lock:
            heard = list(self._heard)
        return [Promise(log.count(one.log, one.size_bytes), one.word, one.counter) for one in heard]

    def _hear(self, word: str, counter: int) -> None:
        with self._lock:
            if self.logs:
                number = len(self.logs) - 1
                size = self.logs[number].stat().st_size
                self._heard.append(Heard(number, size, word, counter))


def play_update(recording: Recording, guest: Guest, site: Site, image: Image) -> Path:
    """Have the device take a good firmware, from its release to its commit; returns its image.

    Raises:
        DeviceError: it does not come to its commit.
    """
    made = firmwares.good(image.slot_image, site.folder / "new.img", "2.0")
    site.desk.release_firmware(made, "2.0")
    guest.check("systemd-run --quiet --no-block vedette update run --now")
    guest.await_reset(UPDATE_S)
    recording.boot()
    site.steps.await_step(Step.COMMITTED, "firmware")
    guest.check("sync")
    guest.shut_down()
    return made
