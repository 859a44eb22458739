"""Cuts the power of a device that runs, with a volatile write cache below it, in an update.

Rule 1: one device lives through one cut after the other, as in the field: each start goes on from
what the cut before left. It begins anew from the recording's disk where its firmware is committed,
or where a cut has made a brick of it.
Rule 2: the power goes at a write, so that there is something to lose: into the slot, the boot
loader's environment, or the data partition, counted from when the device was heard of.
Rule 3: what the broker had before the cut is promised, as it is of recorded cuts.
"""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Self

from vedette.errors import DeviceError
from vedette_dev.device.block_log import Entry
from vedette_dev.device.cut_disk import touches
from vedette_dev.device.ledger import Ledger, LiveCut, Start
from vedette_dev.device.power_cuts import Judge, Promise
from vedette_dev.device.recording import Recorded
from vedette_dev.device.services import begin_update
from vedette_dev.device.site import Site
from vedette_dev.device.starts import start
from vedette_dev.device.volatile_disk import VolatileDisk
from vedette_dev.guests import Guest
from vedette_dev.images.layout import Layout, Partition

PATIENCE_S = 600.0
"""From "heard" to the moment; the whole way to a commit took 430 to 500 s when it was recorded."""
REST_S = 10.0
"""From a commit to the cut, where the moment did not come before."""
_LOOK_S = 1.0


class Moment(NamedTuple):
    """When the power goes: at the n-th write into a partition."""

    part: Partition
    nth: int

    def __str__(self) -> str:
        return f"write {self.nth} into {self.part.name}"


def moment(number: int, layout: Layout, chance: random.Random) -> Moment:
    """The moment of the n-th live cut, from 0: slot, environment and data partition in turn."""
    part, most = (
        (layout.slot_b, 60),  # of some 200 requests, of which a second try has what is left
        (layout.environment, 8),  # armed, counted by the boot loader, committed: two copies each
        (layout.data, 120),
    )[number % 3]
    return Moment(part, chance.randint(1, most))


class _Life:
    """A device, from a fresh disk to its commit or its end."""

    def __init__(
        self,
        disk: VolatileDisk,
        guest: Guest,
        site: Site,
        make_judge: Callable[[VolatileDisk], Judge],
    ) -> None:
        self._disk, self._guest, self._site = disk, guest, site
        self._judge = make_judge(disk)
        self._lock = threading.Lock()
        self._promises: list[Promise] = []
        self._exit = ExitStack()
        self.is_over = False

    def __enter__(self) -> Self:
        self._arrivals = self._exit.enter_context(self._site.listening(self._hear))
        self._exit.callback(self._guest.power_off)
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def begin(self) -> None:
        """Start it for the first time.

        Raises:
            DeviceError: it is not heard of.
        """
        found = self._start()
        if found.wrong:
            raise DeviceError(f"a device that no power cut has met: {found.wrong}")

    def cut(self, wanted: Moment, life: int, chance: random.Random) -> LiveCut:
        """Cut its power in an update, judge its disk, start it again."""
        seen = self._run_until(wanted)
        self._guest.power_off()
        lost = self._disk.lose(chance)
        with self._lock:
            promises = tuple(self._promises)
        verdict = self._judge.judge(promises)
        started = self._start()
        self.is_over |= bool(started.wrong)
        return LiveCut(life, seen, lost.writes, lost.size_bytes, verdict, started)

    def _start(self) -> Start:
        return start(self._guest, self._arrivals, self._plug_in)

    def _plug_in(self) -> None:
        self._disk.power_on(self._guest.cut_power)
        url = self._disk.url
        self._guest.settings = dataclasses.replace(self._guest.settings, disk_url=url)

    def _run_until(self, wanted: Moment) -> str:
        """Have it update until the moment comes, or nothing more does; says which."""
        self._disk.cut_when(_nth_write(wanted))
        self._tell_update()
        is_cut, ends_s = self._disk.is_cut, time.monotonic() + PATIENCE_S
        while not is_cut.wait(_LOOK_S):
            if self._has_committed():
                self.is_over = True
                is_cut.wait(REST_S)
                break
            if time.monotonic() > ends_s:
                self.is_over = True
                break
            if not self._guest.is_running:
                self._guest.launch()  # it restarts by itself: the update goes on
        if is_cut.is_set():
            return str(wanted)
        self._disk.cut_now()
        return f"at rest, {wanted} never came"

    def _tell_update(self) -> None:
        # The power may go meanwhile; the look of its start may have found the release already.
        with suppress(DeviceError):
            begin_update(self._guest)

    def _has_committed(self) -> bool:
        with self._lock:
            return any(one.floor for one in self._promises)

    def _hear(self, word: str, counter: int) -> None:
        with self._lock:
            self._promises.append(Promise(0, word, counter))


def _nth_write(wanted: Moment) -> Callable[[int, int], bool]:
    left = wanted.nth

    def look(offset: int, size: int) -> bool:
        nonlocal left
        asked = Entry(offset, size, 0, 0, is_flush=False, is_fua=False, is_discard=False)
        left -= touches(asked, wanted.part)
        return left <= 0

    return look


def play(
    count: int,
    seed: int,
    *,
    ledger: Ledger,
    recorded: Recorded,
    site: Site,
    guest: Guest,
    make_judge: Callable[[VolatileDisk], Judge],
    folder: Path,
    say: Callable[[str], None],
) -> None:
    """Go on until the ledger has so many live cuts.

    Raises:
        DeviceError: a device that no cut has met does not start.
    """
    while len(ledger.live) < count:
        life = 1 + max((one.life for one in ledger.live), default=0)
        say(f"live       device {life} begins, from the recording's disk")
        with (
            VolatileDisk(recorded.disk, folder) as disk,
            _Life(disk, guest, site, make_judge) as device,
        ):
            device.begin()
            while len(ledger.live) < count and not device.is_over:
                number = len(ledger.live)
                chance = random.Random(f"{seed}/{number}")  # noqa: S311 (the same seed, the same)
                wanted = moment(number, guest.image.layout, chance)
                ledger.add_live(device.cut(wanted, life, chance))
                say(f"live       {number + 1} of {count}, {_told(ledger.live[-1])}")


def _told(cut: LiveCut) -> str:
    wrong = (*cut.verdict.bricks, *cut.verdict.lost, *cut.verdict.problems, cut.start.wrong)
    said = "; ".join(filter(None, wrong)) or "well"
    lost = f"{cut.lost_writes} writes of {cut.lost_bytes} bytes lost"
    return f"{cut.moment}, {lost}, {cut.start.took_s} s: {said}"
