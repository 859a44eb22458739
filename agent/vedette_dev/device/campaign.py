"""`python -m vedette_dev qemu-cuts`: a firmware update recorded once, cut in hundreds of ways.

Rule 1: most cuts are judged on the disk alone (device/power_cuts.py); some are started, and their
device must watch, sign and be heard again (device/starts.py); some are cuts of a device that runs
(device/live.py).
Rule 2: cuts come where it is dangerous: around each write of the boot loader's environment and of
the data partition; the rest by chance. The same seed, the same cuts.
Rule 3: each verdict is kept as it comes (device/ledger.py): a campaign that was ended, however,
goes on where it was, and its row is written of what it has.
Rule 4: those that are started go through the log several times: what was reached is from all of the
update.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vedette.errors import DeviceError
from vedette_dev.device import live, recording
from vedette_dev.device import page as table
from vedette_dev.device.block_log import BlockLog, Entry
from vedette_dev.device.cut_disk import Cut, CutDisk, choose, touches
from vedette_dev.device.ledger import Ledger
from vedette_dev.device.power_cuts import DiskUnderTest, Judge
from vedette_dev.device.recording import Recorded
from vedette_dev.device.site import Site
from vedette_dev.device.starts import start
from vedette_dev.guests import Guest, GuestSettings
from vedette_dev.images import Image
from vedette_dev.images.build import copy
from vedette_dev.images.layout import Layout, Partition

AROUND = 3
"""Entries before and after a write of the environment that are cut at."""
SWEEPS = 4
"""How often the cuts that are started go through the log."""
ROUNDS = 20
"""How often chance is asked for cuts that are not there yet; a short log has only so many."""
JUDGED_STEP = 50
RULE = "execution/run_from_writable_folder"
LEDGER, REPORT, RULES = "campaign.jsonl", "report.json", "rules"
HEAD = (
    "| architecture | requests recorded | MB | cuts judged | they start slot | of them started "
    "| live cuts (writes lost) | bricks | lost entries | data partitions mended "
    "| starts repeated | problems in all | when (UTC) |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
)
_SHARES = (0.4, 0.35)
"""Of all cuts: at the environment, at the data partition; the rest anywhere."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted.

    Attributes:
        cuts: judged on the disk.
        boots: of these, started.
        live: cuts of a device that runs.
        seed: of chance.
        is_anew: record anew, whatever is there.
        lock: a file that is locked (flock(2)) while a guest runs; None for none.
    """

    cuts: int
    boots: int
    live: int = 6
    seed: int = 1
    is_anew: bool = False
    lock: Path | None = None


class Campaign:
    """All that is known of one recording: it goes on where it was ended.

    Args:
        folder: of the campaign.
        image: what the recorded device was made of.
        say: takes lines for people.
    """

    def __init__(self, folder: Path, image: Image, say: Callable[[str], None]) -> None:
        self._folder, self._image, self._say = folder, image, say

    def run(self, repository: Path, request: Request) -> None:
        """Record, cut, judge, start, as far as it is not done.

        Raises:
            DeviceError: the update itself did not succeed, or another run is at it.
        """
        with self._only_one():
            recorded = self._recorded(repository, request)
            with BlockLog(*recorded.logs) as log:
                ledger = Ledger(self._folder / LEDGER)
                # What was recorded is the disk from now on, whatever image comes later.
                image = replace(self._image, disk=recorded.disk)
                run = _Run(self._folder, recorded, log, ledger, image, request, self._say)
                cuts = run.plan()
                run.judge(cuts)
                run.start(cuts)
                run.cut_live()

    def report(self) -> dict[str, object] | None:
        """What was found until now; None where nothing was recorded yet."""
        recorded = recording.read(self._folder / recording.RECORDING)
        if recorded is None:
            return None
        with BlockLog(*recorded.logs) as log:
            entries = log.entries
        return {
            "arch": self._image.arch,
            "recorded_s": recorded.took_s,
            "entries": len(entries),
            "flushes": sum(entry.is_flush for entry in entries),
            "written_mb": round(sum(entry.size for entry in entries) / 1e6),
            **Ledger(self._folder / LEDGER).report(),
            "when": time.strftime("%Y-%m-%d", time.gmtime()),
        }

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        """Two at once would play on one disk."""
        # Beside the folder, which a new recording removes.
        place = self._folder.with_name(f"{self._folder.name}.lock")
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("ab") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DeviceError(
                    f"{self._folder}: another campaign runs in it: wait for it, or end it with "
                    "Ctrl-C there and go on with it here"
                ) from error
            yield

    def _recorded(self, repository: Path, request: Request) -> Recorded:
        """The recording to go on with, or a new one where there is none of this image."""
        folder = self._folder / recording.RECORDING
        found = None if request.is_anew else recording.read(folder)
        if found is not None and found.is_of(self._image):
            if not self._is_done(request):
                self._say(f"going on   with the recording in {folder}")
                return found
            self._say(f"recording  anew: {self._folder} has all that is asked for")
        elif found is not None:
            self._say(f"recording  anew: that in {folder} is of another image")
        shutil.rmtree(self._folder, ignore_errors=True)
        rules = one_rule(repository, self._folder / RULES)
        with locked(request.lock):
            return recording.record(rules, self._folder, self._image, self._say)

    def _is_done(self, request: Request) -> bool:
        ledger = Ledger(self._folder / LEDGER)
        return (
            len(ledger.judged) >= request.cuts
            and len(ledger.started) >= request.boots
            and len(ledger.live) >= request.live
        )


@dataclass(frozen=True, slots=True)
class _Run:
    """What goes on with a recording: each step does what the ledger has not."""

    folder: Path
    recorded: Recorded
    log: BlockLog
    ledger: Ledger
    image: Image
    request: Request
    say: Callable[[str], None]

    def plan(self) -> list[Cut]:
        with self._disk() as disk:
            chance = random.Random(self.request.seed)  # noqa: S311 (the same seed, the same cuts)
            return plan(disk, self.log, self.image.layout, self.request.cuts, chance)

    def judge(self, cuts: Sequence[Cut]) -> None:
        promises = self.recorded.promises(self.log)
        left = [cut for cut in cuts if cut not in self.ledger.judged]
        if not left:
            return
        with self._disk() as disk:
            judge = self._judge(disk)
            for cut in left:
                with disk.cut(cut):
                    told = [one for one in promises if one.after <= cut.after]
                    self.ledger.add_judged(cut, judge.judge(told))
                if len(self.ledger.judged) % JUDGED_STEP == 0:
                    self.say(f"judged     {len(self.ledger.judged)}, of {len(cuts)} cuts")

    def start(self, cuts: Sequence[Cut]) -> None:
        chance = random.Random(self.request.seed)  # noqa: S311 (the same seed, the same cuts)
        chosen = sorted(chance.sample(cuts, min(self.request.boots, len(cuts))))
        left = [cut for cut in chosen if cut not in self.ledger.started]
        if not left:
            return
        with self._site() as site, self._guest("started", site) as guest:
            for sweep in range(SWEEPS):
                with self._disk() as disk:
                    for cut in left[sweep::SWEEPS]:
                        with locked(self.request.lock):
                            self._start(disk, cut, guest, site)
                        self._tell_start(cut, len(chosen))

    def cut_live(self) -> None:
        if len(self.ledger.live) >= self.request.live:
            return
        with (
            locked(self.request.lock),
            self._site() as site,
            self._guest("live", site) as guest,
        ):
            live.play(
                self.request.live, self.request.seed, ledger=self.ledger, recorded=self.recorded,
                site=site, guest=guest, make_judge=self._judge, folder=self.folder / "live",
                say=self.say,
            )  # fmt: skip

    def _disk(self) -> CutDisk:
        """The disk as it was when the recording began, to go through the log again."""
        place = self.folder / "cut.img"
        copy(self.recorded.disk, place)
        return CutDisk(place, self.log)

    def _judge(self, disk: DiskUnderTest) -> Judge:
        return Judge(
            disk, layout=self.image.layout, firmwares=self.recorded.firmwares,
            image_bytes=self.recorded.image_bytes, folder=self.folder,
        )  # fmt: skip

    def _site(self) -> Site:
        """The host's side of the recording again, on other ports."""
        place, device = self.folder / recording.SITE, recording.device_of(self.image)
        return Site(place, device, rules=self.folder / RULES, is_kept=True)

    def _guest(self, name: str, site: Site) -> Guest:
        return Guest(self.image, self.folder / name, GuestSettings(forwards=site.forwards))

    def _start(self, disk: CutDisk, cut: Cut, guest: Guest, site: Site) -> None:
        try:
            with disk.cut(cut), site.listening() as arrivals:
                found = start(guest, arrivals, partial(copy, disk.path, guest.disk))
            self.ledger.add_started(cut, found)
        finally:
            guest.power_off()

    def _tell_start(self, cut: Cut, count: int) -> None:
        found = self.ledger.started[cut]
        again = ", stood still once" if found.silent else ""
        said = f"{found.took_s} s{again}: {found.wrong or 'well'}"
        self.say(f"started    {len(self.ledger.started)} of {count}, {cut}, {said}")


@contextlib.contextmanager
def locked(lock: Path | None) -> Iterator[None]:
    """Wait until nobody else holds this file's lock, and hold it."""
    with contextlib.ExitStack() as held:
        if lock is not None:
            fcntl.flock(held.enter_context(lock.open("ab")), fcntl.LOCK_EX)
        yield


def one_rule(repository: Path, folder: Path) -> Path:
    """A folder with the one rule by which a started device is heard, and its samples."""
    folder.mkdir(parents=True)
    for path in repository.glob(f"rules/{RULE}.*yml"):
        shutil.copy(path, folder)
    return folder


def plan(
    disk: CutDisk, log: BlockLog, layout: Layout, count: int, chance: random.Random
) -> list[Cut]:
    """So many different cuts of a log, in its order; fewer where it has no more.

    Args:
        disk: at the log's begin; it goes to its end.
        log: of the recording.
        layout: of the disk.
        count: how many are wanted.
        chance: the same, the same cuts.
    """
    unsafe = [disk.forward(after) for after in range(len(log.entries) + 1)]
    found: set[Cut] = set()
    for _ in range(ROUNDS):
        for after in positions(log.entries, layout, count - len(found), chance):
            found.add(choose(log, after, unsafe[after], chance))
    return sorted(found)


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
    return [number for number, entry in enumerate(entries) if touches(entry, part)]


def tell(report: Mapping[str, object], path: Path, page: Path) -> None:
    """Write the report to a file, and a line of it into a page.

    Raises:
        DeviceError: the page has no marks for it.
    """
    path.write_text(json.dumps(report, indent=1) + "\n")
    table.put(page, "cuts", "make qemu-cuts", HEAD, [row(report)])


def row(report: Mapping[str, object]) -> str:
    """As Markdown."""
    slots, problems = report["by_slot"], report["problems"]
    chosen = ", ".join(f"{k} {v}" for k, v in slots.items()) if isinstance(slots, dict) else ""
    cells = (
        *(report[name] for name in ("arch", "entries", "written_mb", "cuts")), chosen,
        report["boots"], f"{report['live_cuts']} ({report['live_lost_writes']})",
        *(report[name] for name in ("bricks", "lost_entries", "mended", "repeated")),
        len(problems) if isinstance(problems, list) else "", report["when"],
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"
