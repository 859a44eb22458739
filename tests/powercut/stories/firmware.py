"""A firmware's whole way on the directory back-end: slots, boot loader, record, floor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.powercut.story import Mark, Promises, require
from tests.simulators.firmware_around import MemoryAround
from tests.simulators.images import MemoryImage, changed, firmware, image

from vedette.codec.block_index import block_digests
from vedette.core.health_gate import GateAnswer, GateVerdict
from vedette.daemon.installer.firmware import FirmwareInstaller, Next
from vedette.model.firmware import FirmwareState
from vedette.model.release import Release
from vedette.ports.slot_backend import SlotContext
from vedette.slots.directory import DirectoryBackend
from vedette.store import durable
from vedette.store.firmware import FirmwareStore
from vedette.store.state import FileState

SIZE = 9 * 4096 + 100
FACTORY = image(1, SIZE)
IMAGES = {1: FACTORY, 2: image(2, SIZE), 3: changed(image(2, SIZE), 4), 4: image(4, SIZE)}
"""Of each release, by its counter; the third is like the second."""
UNWELL = 4
PASS = GateVerdict(GateAnswer.PASS, "")
REJECT = GateVerdict(GateAnswer.REJECT, "port 554 refused")
_STARTS = 12


class Around(MemoryAround):
    """What the steps touch; the floor is on the disk, as the installer's is."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._state = FileState(folder / "floors")
        self.floor = self._state.number("release.firmware.cam")

    def raise_floor(self, name: str, counter: int) -> None:
        super().raise_floor(name, counter)
        self._state.update({"release.firmware.cam": self.floor})


def prepare(folder: Path) -> None:
    """A device as it left the factory."""
    (folder / "slot-a.img").write_bytes(FACTORY)
    _backend(folder).boot()


def play(folder: Path, mark: Mark) -> None:
    """Two releases are committed, the third is unwell and goes back."""
    mark("runs 1")
    runs = 1
    for counter in (2, 3, UNWELL):
        installer = _installer(folder)
        installer.recover()
        installer.offer(_release(counter))
        mark(f"runs {runs},{counter}")
        _install(folder, installer, counter)
        installer.arm()
        _backend(folder).boot()
        _settle(folder)
        if counter != UNWELL:
            runs = counter
            mark(f"floor {Around(folder).floor}")
        mark(f"runs {runs}")


def check(folder: Path, marks: Sequence[str]) -> None:
    """The device starts a whole image that was allowed, ends with one, and its floor never fell."""
    _require_runs(folder, marks, _backend(folder).boot(), "started")
    _settle(folder)
    record = _installer(folder).record
    running = _require_runs(folder, marks, _backend(folder).booted(), "runs in the end")
    require(_backend(folder).plan().committed == _backend(folder).booted(), "not what is planned")
    require(not _backend(folder).plan().trial, "a trial is armed that nobody watches")
    require(record.running.counter in {0, running}, f"{running} runs, recorded is {record.running}")
    floor = Around(folder).floor
    require(floor >= Promises(marks).last("floor"), f"the floor fell to {floor}")
    require(floor <= running, f"release {running} runs below the floor {floor}")


def _require_runs(folder: Path, marks: Sequence[str], slot: str, what: str) -> int:
    """The counter of the image in a slot, which has to be one of those that may run."""
    content = (folder / f"slot-{slot}.img").read_bytes()
    running = next((counter for counter, made in IMAGES.items() if made == content), 0)
    told = [mark.removeprefix("runs ") for mark in marks if mark.startswith("runs ")]
    allowed = {int(one) for one in told[-1].split(",")} if told else {1}
    require(running in allowed, f"image {running} {what}, expected one of {sorted(allowed)}")
    return running


def _settle(folder: Path) -> None:
    """Do what `recover` says, over all the starts that it takes."""
    installer = _installer(folder)
    for _ in range(_STARTS):
        then = installer.recover()
        release = installer.record.release
        if then is Next.INSTALL and release is not None:
            _install(folder, installer, release.counter)
            then = Next.ARM
        if then is Next.ARM:
            then = installer.arm()
        if then is Next.WATCH and installer.record.state is FirmwareState.TRIAL:
            is_well = release is not None and release.counter != UNWELL
            then = installer.judge(PASS if is_well else REJECT)
        if then is not Next.RESTART:
            return
        _backend(folder).boot()
        installer = _installer(folder)
    require(is_good=False, what=f"it starts again and again: {installer.record}")


def _install(folder: Path, installer: FirmwareInstaller, counter: int) -> None:
    index = folder / "index"
    durable.write(index, block_digests(IMAGES[counter]))
    has_index = counter != UNWELL
    installer.install(MemoryImage(IMAGES[counter]), index if has_index else None)


def _release(counter: int) -> Release:
    return firmware(IMAGES[counter], counter, late_rollback_s=0)


def _installer(folder: Path) -> FirmwareInstaller:
    store = FirmwareStore(FileState(folder / "state"))
    return FirmwareInstaller(_backend(folder), store, Around(folder))


def _backend(folder: Path) -> DirectoryBackend:
    return DirectoryBackend(SlotContext(folder, durable.write))
