"""`python -m vedette_dev qemu-bench`: what the agent costs on a device, measured on a booted image.

Rule 1: every figure stands beside what the same device does without the agent, or by other means:
under emulation only the relation says something about real hardware.
Rule 2: a figure that could not be taken is left out with the reason, never guessed.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from vedette.errors import DeviceError
from vedette.model.update import Step
from vedette_dev.device import firmwares, services, suspicion
from vedette_dev.device import page as table
from vedette_dev.device.owners import owners_of
from vedette_dev.device.site import Site
from vedette_dev.guests import Guest, GuestSettings
from vedette_dev.images import Image

STOP_S = 60.0
STORM = 400
"""Executions of one storm. 1500, three times, had not ended after five minutes where an emulated
x86-64 shared two cores with a load of ten."""
ROUNDS = 3
TELLINGS = 7
CLOCK_TRIES = 5
UPDATE_S = 900.0
HEAD = "| architecture | figure | value | beside | ratio |\n|---|---|---|---|---|\n"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        beside: what it is compared with, in words; "" for nothing.
        ratio: to that, or None.
    """

    arch: str
    name: str
    value: float
    unit: str
    beside: str = ""
    ratio: float | None = None


def run(repository: Path, folder: Path, image: Image, say: Callable[[str], None]) -> list[Figure]:
    """Boot an image of this architecture and measure.

    Raises:
        DeviceError: the device does not start, or its agent does not.
    """
    found: list[Figure] = []
    with Site(folder / "site", f"bench-{image.arch}", rules=repository / "rules") as site:
        settings = GuestSettings(data=site.data(owners_of(image)), forwards=site.forwards)
        with Guest(image, folder / "guest", settings) as guest:
            guest.boot()
            services.await_agent(guest)
            site.reader.await_device(services.READY_S)
            services.await_update(guest)
            bench = _Bench(image, guest, site)
            for measure in (bench.start, bench.memory, bench.telling, bench.storm, bench.firmware):
                try:
                    taken = measure()
                except DeviceError as error:
                    say(f"{measure.__name__}: not taken: {error}")
                    continue
                for figure in taken:
                    say(f"{figure.name}: {figure.value:g} {figure.unit}  {figure.beside}")
                found += taken
    return found


class _Bench:
    def __init__(self, image: Image, guest: Guest, site: Site) -> None:
        self._image, self._guest, self._site = image, guest, site

    def _figure(
        self, name: str, value: float, unit: str, beside: str = "", ratio: float | None = None
    ) -> Figure:
        return Figure(self._image.arch, name, value, unit, beside, ratio)

    def start(self) -> list[Figure]:
        """From the kernel's start to the agent's ready, and how long the agent's own part took."""
        shown = [
            self._property(name)
            for name in ("ActiveEnterTimestampMonotonic", "InactiveExitTimestampMonotonic")
        ]
        ready_s, began_s = (int(text) / 1e6 for text in shown)
        return [
            self._figure("kernel's start to watching", round(ready_s, 1), "s"),
            self._figure("of it the agent's start", round(ready_s - began_s, 1), "s"),
        ]

    def memory(self) -> list[Figure]:
        """Pss of each resident process."""
        total_kb = self._meminfo("MemTotal")
        made = []
        for unit in (services.AGENT, services.UPLINK):
            text = self._guest.check(f"cat /proc/{self._pid(unit)}/smaps_rollup")
            pss_kb = next(int(row.split()[1]) for row in text.splitlines() if row[:4] == "Pss:")
            share = f"of {total_kb // 1024} MB that the kernel has"
            name = f"memory of {unit.removesuffix('.service')}: Pss"
            made.append(self._figure(name, round(pss_kb / 1024, 1), "MB", share, pss_kb / total_kb))
        return made

    def telling(self) -> list[Figure]:
        """From an execution to its verified arrival at a subscriber of the broker."""
        ahead_s = self._clock()
        delays = []
        for _ in range(TELLINGS):
            word = suspicion.new_word()
            said = self._guest.check(suspicion.command(word, first="date +%s.%N"))
            arrival = self._site.arrivals.wait_for(partial(suspicion.is_told, word), 30.0)
            if arrival is None:
                raise DeviceError("an execution was not heard of within 30 s")
            came_s = arrival.at_s + time.time() - time.monotonic()
            delays.append(came_s - (float(said.split()[0]) - ahead_s))
        value_ms = round(statistics.median(delays) * 1000)
        return [self._figure("exec to verified at the subscriber: median", value_ms, "ms")]

    def storm(self) -> list[Figure]:
        """What a storm of executions costs with the agent, beside the same without it."""
        pid = self._pid(services.AGENT)
        before = self._ticks(pid)
        watched_s = min(self._storm() for _ in range(ROUNDS))
        agent_us = (self._ticks(pid) - before) * 10_000 / (STORM * ROUNDS)
        self._guest.check(f"systemctl stop {services.AGENT}", STOP_S)
        alone_s = min(self._storm() for _ in range(ROUNDS))
        services.await_agent(self._guest)
        services.await_update(self._guest)
        return [
            self._figure(
                "exec storm: of one execution", round(watched_s / STORM * 1e6), "us",
                f"{alone_s / STORM * 1e6:.0f} us without the agent", watched_s / alone_s,
            ),
            self._figure(
                "exec storm: CPU of the agent for one", round(agent_us), "us",
                f"{alone_s / STORM * 1e6:.0f} us for the execution itself",
                agent_us / (alone_s / STORM * 1e6),
            ),
        ]  # fmt: skip

    def firmware(self) -> list[Figure]:
        """How fast a firmware is written and read back, beside dd and sha256sum."""
        size_mb = self._image.slot_image.stat().st_size / 1e6
        slot = "/dev/disk/by-partlabel/rootfs-b"
        megs = int(self._image.slot_image.stat().st_size >> 20)
        plain_s = self._timed(
            f"dd if=/dev/vda3 of={slot} bs=1M count={megs} conv=fsync 2>/dev/null && "
            f"echo 3 >/proc/sys/vm/drop_caches && dd if={slot} bs=1M count={megs} 2>/dev/null "
            "| sha256sum >/dev/null"
        )
        made = firmwares.good(self._image.slot_image, self._site.folder / "new.img", "2.0")
        self._site.desk.release_firmware(made, "2.0")
        services.begin_update(self._guest)
        heard = self._site.steps.await_step(Step.WRITTEN, "firmware")
        began_s = next(one.happened_s for one in heard if one.step is Step.VERIFIED)
        took_s = max(1, heard[-1].happened_s - began_s)
        return [
            self._figure(
                "firmware written and read back", round(size_mb / took_s, 1), "MB/s",
                f"{size_mb / plain_s:.1f} MB/s (dd conv=fsync, then sha256sum without the cache)",
                plain_s / took_s,
            )
        ]  # fmt: skip

    def _storm(self) -> float:
        return self._timed(f"i=0; while [ $i -lt {STORM} ]; do /bin/true; i=$((i+1)); done")

    def _timed(self, command: str) -> float:
        """Seconds that a command took by the device's own clock."""
        said = self._guest.check(
            f"a=$(cut -d' ' -f1 /proc/uptime); {command}; echo $a $(cut -d' ' -f1 /proc/uptime)",
            UPDATE_S,
        )
        began, ended = said.split()[-2:]
        return float(ended) - float(began)

    def _clock(self) -> float:
        """How far the device's clock is ahead of ours, by the fastest of some questions."""
        asked = []
        for _ in range(CLOCK_TRIES):
            began_s = time.time()
            theirs = float(self._guest.check("date +%s.%N"))
            ended_s = time.time()
            asked.append((ended_s - began_s, theirs - (began_s + ended_s) / 2))
        return min(asked)[1]

    def _property(self, name: str) -> str:
        return self._guest.check(f"systemctl show -P {name} {services.AGENT}").strip()

    def _pid(self, unit: str) -> int:
        return int(self._guest.check(f"systemctl show -P MainPID {unit}").strip())

    def _ticks(self, pid: int) -> int:
        """Of CPU, user's and system's (proc(5): USER_HZ is 100)."""
        fields = self._guest.check(f"cat /proc/{pid}/stat").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def _meminfo(self, name: str) -> int:
        text = self._guest.check(f"grep ^{name}: /proc/meminfo")
        return int(text.split()[1])


def write(figures: Sequence[Figure], path: Path) -> None:
    """Add figures to a file of JSON lines; those of the same architecture are replaced."""
    archs = {one.arch for one in figures}
    kept = [one for one in read(path) if one.arch not in archs]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(asdict(one))}\n" for one in [*kept, *figures]))


def read(path: Path) -> list[Figure]:
    """What was measured before; nothing where there was no run."""
    if not path.exists():
        return []
    return [Figure(**json.loads(line)) for line in path.read_text().splitlines()]


def put(figures: Sequence[Figure], page: Path) -> None:
    """Write the table into a page.

    Raises:
        DeviceError: the page has no marks for it.
    """
    table.put(page, "figures", "make qemu-bench", HEAD, [row(one) for one in figures])


def row(one: Figure) -> str:
    """As Markdown."""
    ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
    return f"| {one.arch} | {one.name} | {one.value:g} {one.unit} | {one.beside} | {ratio} |"
