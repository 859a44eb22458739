"""`python -m vedette_dev qemu-cuts`: a firmware update recorded once, cut in hundreds of ways.

Rule 1: most cuts are judged on the disk alone (device/power_cuts.py); some are started, and their
device must watch, sign and be heard again.
Rule 2: cuts come where it is dangerous: around each write of the boot loader's environment and of
the data partition; the rest by chance. The same seed, the same cuts.
Rule 3: all are judged before any is started, and those that are started go through the log several
times: a campaign that a person ends (Ctrl-C) has a report of what it did, from all of the update.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import random
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from vedette.errors import DeviceError
from vedette_dev.device import page as table
from vedette_dev.device import recording
from vedette_dev.device.block_log import BlockLog, Entry
from vedette_dev.device.cut_disk import Cut, CutDisk, choose
from vedette_dev.device.owners import owners_of
from vedette_dev.device.power_cuts import Judge, Verdicts
from vedette_dev.device.site import Site
from vedette_dev.guests import Guest, GuestSettings
from vedette_dev.images import Image
from vedette_dev.images.layout import Layout, Partition
from vedette_dev.player import Arrival, Arrivals, is_of

AROUND = 3
"""Entries before and after a write of the environment that are cut at."""
SWEEPS = 4
"""How often the cuts that are started go through the log."""
JUDGED_STEP = 50
LAUNCHES = 6
"""Three tries of a firmware, one start of the old one, and some to spare."""
RULE = "execution/run_from_writable_folder"
HEARD_S = 240.0
READY_S = 240.0
HEAD = (
    "| architecture | requests recorded | MB | cuts judged | they start slot | of them started "
    "| bricks | lost entries | data partitions mended | problems in all | when (UTC) |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|\n"
)
_SHARES = (0.4, 0.35)
"""Of all cuts: at the environment, at the data partition; the rest anywhere."""


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What is wanted.

    Attributes:
        cuts: judged on the disk.
        boots: of these, started.
        seed: of chance.
    """

    cuts: int
    boots: int
    seed: int = 1


def run(
    repository: Path, folder: Path, image: Image, request: Request, say: Callable[[str], None]
) -> dict[str, object]:
    """Record, cut, judge, start; returns the report.

    Raises:
        DeviceError: the update itself did not succeed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    began_s = time.monotonic()
    rules = one_rule(repository, folder / "rules")
    with Site(folder / "site", f"cut-{image.arch}", rules=rules) as site:
        settings = GuestSettings(data=site.data(owners_of(image)), forwards=site.forwards)
        with Guest(image, folder / "guest", settings) as guest:
            say("recording  a firmware's whole way")
            made = recording.Recording(guest, site)
            made.boot()
            new = recording.play_update(made, guest, site, image)
            recorded_s = time.monotonic() - began_s
            with BlockLog(*made.logs) as log:
                disk = _Disks(made.disk, folder / "cut.img", log)
                judge = partial(_judge, log, image, new, made, folder)
                report = _play(judge, disk, guest, site, request, say)
    return {
        "arch": image.arch,
        "recorded_s": round(recorded_s),
        "entries": len(log.entries),
        "flushes": sum(entry.is_flush for entry in log.entries),
        "written_mb": round(sum(entry.size for entry in log.entries) / 1e6),
        **report,
        "took_s": round(time.monotonic() - began_s),
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def one_rule(repository: Path, folder: Path) -> Path:
    """A folder with the one rule by which a started device is heard, and its samples."""
    folder.mkdir(parents=True)
    for path in repository.glob(f"rules/{RULE}.*yml"):
        shutil.copy(path, folder)
    return folder


class _Disks(NamedTuple):
    """A recorded disk that may go through its log again."""

    before: Path
    place: Path
    log: BlockLog

    def again(self) -> CutDisk:
        """The disk as it was when the recording began."""
        subprocess.run(["cp", "--sparse=always", "--", self.before, self.place], check=True)
        return CutDisk(self.place, self.log)


def _judge(
    log: BlockLog,
    image: Image,
    new: Path,
    made: recording.Recording,
    folder: Path,
    disk: CutDisk,
) -> Judge:
    known = {hashlib.sha256(image.slot_image.read_bytes()).digest(): "old"}
    known[hashlib.sha256(new.read_bytes()).digest()] = "new"
    return Judge(
        disk,
        log,
        layout=image.layout,
        firmwares=known,
        image_bytes=image.slot_image.stat().st_size,
        promises=made.promises(log),
        folder=folder,
    )


def _play(
    judge: Callable[[CutDisk], Judge],
    disks: _Disks,
    guest: Guest,
    site: Site,
    request: Request,
    say: Callable[[str], None],
) -> dict[str, object]:
    chance = random.Random(request.seed)  # noqa: S311 (the same seed, the same cuts)
    places = positions(disks.log.entries, guest.image.layout, request.cuts, chance)
    cuts, verdicts, outcomes = list[Cut](), Verdicts(), list[list[str]]()
    with contextlib.suppress(KeyboardInterrupt):
        with disks.again() as disk:
            judged = judge(disk)
            for after in places:
                cuts.append(choose(disks.log, after, disk.forward(after), chance))
                judged.judge(cuts[-1], verdicts)
                if len(cuts) % JUDGED_STEP == 0:
                    say(f"judged     {len(cuts)} of {len(places)} cuts")
        started = sorted(chance.sample(cuts, min(request.boots, len(cuts))))
        for sweep in range(SWEEPS):
            with disks.again() as disk:
                for cut in started[sweep::SWEEPS]:
                    outcomes.append(_start(disk, cut, guest, site))
                    said = "; ".join(outcomes[-1]) or "well"
                    say(f"started    {len(outcomes)} of {len(started)}, {cut.after}: {said}")
    failed = [line for lines in outcomes for line in lines]
    return {
        "cuts": verdicts.cuts,
        "boots": len(outcomes),
        "bricks": len(verdicts.bricks) + len(failed),
        "lost_entries": len(verdicts.lost),
        "by_slot": verdicts.by_slot,
        "mended": verdicts.mended,
        "problems": [*verdicts.bricks, *verdicts.lost, *verdicts.problems, *failed][:50],
    }


def positions(
    entries: Sequence[Entry], layout: Layout, count: int, chance: random.Random
) -> list[int]:
    """Where to cut, in the order of the log; the same place may come several times."""
    near = sorted(
        {
            min(max(number + shift, 0), len(entries))
            for number in _touching(entries, layout.environment)
            for shift in range(-AROUND, AROUND + 1)
        }
    )
    data = list(_touching(entries, layout.data))
    wanted = [round(share * count) for share in _SHARES]
    found = [chance.choice(near) for _ in range(wanted[0] if near else 0)]
    found += [chance.choice(data) + 1 for _ in range(wanted[1] if data else 0)]
    found += [chance.randrange(len(entries) + 1) for _ in range(count - len(found))]
    return sorted(found)


def _touching(entries: Sequence[Entry], part: Partition) -> list[int]:
    stop = part.start_bytes + part.size_bytes
    return [
        number
        for number, entry in enumerate(entries)
        if entry.size and entry.offset < stop and entry.offset + entry.size > part.start_bytes
    ]


def _start(disk: CutDisk, cut: Cut, guest: Guest, site: Site) -> list[str]:
    """Start the disk of a cut; what did not go well, one line."""
    guest.settings = dataclasses.replace(guest.settings, record=None)
    with disk.cut(cut):
        argv = ["cp", "--sparse=always", "--", str(disk.path), str(guest.disk)]
        subprocess.run(argv, check=True)
    try:
        with site.listening() as arrivals:
            wrong = _what_is_wrong(guest, arrivals)
        return [f"{cut}: {wrong}"] if wrong else []
    finally:
        guest.power_off()


def _what_is_wrong(guest: Guest, arrivals: Arrivals) -> str:
    """Start until its agent was heard; it may restart by itself where an update goes on."""
    wrong = ""
    for _ in range(LAUNCHES):
        try:
            guest.boot()
            guest.check("systemctl start vedette.service vedette-uplink.service", READY_S)
            word = "w" + secrets.token_hex(5)
            guest.check(f"cp /bin/sleep /tmp/{word}; /tmp/{word} 2; rm /tmp/{word}")
            is_heard = arrivals.wait_for(partial(_holds, word), HEARD_S) is not None
        except DeviceError as error:
            wrong = str(error)
        else:
            wrong = "" if is_heard else f"started, and not heard of within {HEARD_S:g} s"
        if guest.is_running or not wrong:
            return wrong
    return f"it started {LAUNCHES} times and never stayed: {wrong}"


def _holds(word: str, arrival: Arrival) -> bool:
    return is_of(arrival.incident, ("attack.",), (word,))


def tell(report: Mapping[str, object], path: Path, page: Path) -> None:
    """Write the report to a file, and a line of it into a page.

    Raises:
        DeviceError: the page has no marks for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    table.put(page, "cuts", "make qemu-cuts", HEAD, [row(report)])


def row(report: Mapping[str, object]) -> str:
    """As Markdown."""
    slots = report["by_slot"]
    chosen = ", ".join(f"{k} {v}" for k, v in slots.items()) if isinstance(slots, dict) else ""
    cells = (
        *(report[name] for name in ("arch", "entries", "written_mb", "cuts")), chosen,
        *(report[name] for name in ("boots", "bricks", "lost_entries", "mended")),
        len(problems) if isinstance(problems := report["problems"], list) else "",
        report["when"],
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"
