"""A firmware's way, told as stories: over starts, cuts, bad images and bad health."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.simulators.firmware_around import MemoryAround
from tests.simulators.images import MemoryImage, changed, firmware, image, index_file

from vedette.core.health_gate import GateAnswer, GateVerdict
from vedette.daemon.installer.firmware import FirmwareInstaller, Next
from vedette.errors import FetchError, RequestError, SlotError, StoreError, TrustError
from vedette.model.firmware import BootPlan, FirmwareState, Running
from vedette.model.release import Release
from vedette.ports.slot_backend import SlotContext
from vedette.slots.directory import DirectoryBackend
from vedette.store import durable
from vedette.store.firmware import FirmwareStore
from vedette.store.slot_file import PIECE_BYTES
from vedette.store.state import FileState

S = FirmwareState
SIZE = 2 * PIECE_BYTES + 999
CONTENT = image(1, SIZE)
RUNNING = image(7, SIZE)
PASS = GateVerdict(GateAnswer.PASS, "")
WAIT = GateVerdict(GateAnswer.WAIT, "stream: not yet")
REJECT = GateVerdict(GateAnswer.REJECT, "after 600 s: stream: port 554 refused")


class Device:
    """A device on a disk; `process` is a new process on it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.around = MemoryAround()
        self.boot_loader = DirectoryBackend(SlotContext(folder, durable.write))
        (folder / "slot-a.img").write_bytes(RUNNING)

    def process(self) -> FirmwareInstaller:
        store = FirmwareStore(FileState(self.folder / "state"))
        return FirmwareInstaller(self.boot_loader, store, self.around)

    def restart(self) -> FirmwareInstaller:
        self.boot_loader.boot()
        return self.process()

    def install(
        self, release: Release, content: bytes, source: MemoryImage | None = None
    ) -> FirmwareInstaller:
        installer = self.process()
        installer.recover()
        installer.offer(release)
        index = index_file(self.folder, content)
        installer.install(source or MemoryImage(content), index)
        return installer

    def arm(self, release: Release, content: bytes) -> None:
        installer = self.install(release, content)
        assert installer.arm() is Next.RESTART

    def commit(self, release: Release, content: bytes) -> FirmwareInstaller:
        self.arm(release, content)
        installer = self.restart()
        assert installer.recover() is Next.WATCH
        installer.judge(PASS)
        return installer

    @property
    def running(self) -> str:
        return self.boot_loader.booted()


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_a_good_one_is_written_tried_and_committed(device: Device) -> None:
    release = firmware(CONTENT, late_rollback_s=100)
    installer = device.install(release, CONTENT)
    assert device.around.told == [S.WRITTEN]
    assert (device.folder / "slot-b.img").read_bytes() == CONTENT
    assert device.boot_loader.plan() == BootPlan("a")
    assert installer.arm() is Next.RESTART
    assert device.running == "a"
    installer = device.restart()
    assert device.running == "b"
    assert installer.recover() is Next.WATCH
    assert device.around.baseline == 2
    assert installer.judge(WAIT) is Next.WATCH
    assert installer.judge(PASS) is Next.WATCH
    assert device.around.told == [S.WRITTEN, S.TRIAL, S.COMMITTED]
    assert device.boot_loader.plan() == BootPlan("b")
    assert device.around.floor == 0  # that of the firmware it was made with
    installer.elapse(99.5)
    assert (device.around.floor, device.around.kept) == (0, 0)
    installer.elapse(100)
    assert (device.around.floor, device.around.kept) == (2, None)
    assert device.restart().recover() is Next.NOTHING
    assert device.running == "b"


def test_a_trial_has_the_starts_that_the_device_gives_it(device: Device) -> None:
    device.install(firmware(CONTENT), CONTENT)
    store = FirmwareStore(FileState(device.folder / "state"))
    installer = FirmwareInstaller(device.boot_loader, store, device.around, tries=1)
    assert installer.arm() is Next.RESTART
    assert device.boot_loader.plan() == BootPlan("a", "b", 1)
    device.restart()
    assert device.running == "b"
    installer = device.restart()
    assert device.running == "a"
    assert installer.recover() is Next.NOTHING
    assert installer.record.state is S.ROLLED_BACK


def test_one_that_is_unwell_goes_back(device: Device) -> None:
    device.arm(firmware(CONTENT), CONTENT)
    installer = device.restart()
    installer.recover()
    assert installer.judge(REJECT) is Next.RESTART
    assert device.around.told[-1] is S.ROLLED_BACK
    assert device.around.reasons[-1] == REJECT.reason
    assert device.around.baseline == 0
    assert device.restart().recover() is Next.NOTHING
    assert device.running == "a"
    assert device.process().record.running == Running()
    with pytest.raises(RequestError, match="was rolled back"):
        device.process().offer(firmware(CONTENT))


def test_one_that_never_comes_up_falls_back_by_the_boot_loaders_own_count(device: Device) -> None:
    device.arm(firmware(CONTENT), CONTENT)
    for _ in range(3):
        device.boot_loader.boot()  # and panics: no process of ours ever runs
        assert device.running == "b"
    installer = device.restart()
    assert device.running == "a"
    assert installer.recover() is Next.NOTHING
    assert device.around.told == [S.WRITTEN, S.ROLLED_BACK]
    assert "by itself" in device.around.reasons[-1]
    assert device.around.baseline == 0


def test_one_that_comes_up_and_dies_falls_back_too_and_the_baseline_returns(device: Device) -> None:
    device.arm(firmware(CONTENT), CONTENT)
    for _ in range(3):
        assert device.restart().recover() is Next.WATCH
        assert device.around.baseline == 2
    assert device.restart().recover() is Next.NOTHING
    assert device.running == "a"
    assert device.around.baseline == 0
    assert device.around.told[-1] is S.ROLLED_BACK


def test_a_committed_one_goes_back_within_its_window_alone(device: Device) -> None:
    installer = device.commit(firmware(CONTENT, late_rollback_s=100), CONTENT)
    installer.elapse(99)
    assert installer.roll_back("operator 0123:7") is Next.RESTART
    assert device.restart().recover() is Next.NOTHING
    assert device.running == "a"
    assert device.around.baseline == 0
    other = image(3, SIZE)
    installer = device.commit(firmware(other, 3, late_rollback_s=100), other)
    installer.end_window()
    with pytest.raises(RequestError, match="below the floor"):
        installer.roll_back("operator 0123:8")
    assert device.running == "b"
    assert device.around.floor == 3


def test_a_release_that_closes_the_window_raises_the_floor_at_once(device: Device) -> None:
    installer = device.commit(firmware(CONTENT, late_rollback_s=100, closes_window=True), CONTENT)
    assert device.around.floor == 2
    with pytest.raises(RequestError):
        installer.roll_back("too late")


def test_the_next_release_goes_where_the_one_before_was(device: Device) -> None:
    device.commit(firmware(CONTENT), CONTENT)
    other = changed(CONTENT, 5)
    source = MemoryImage(other)
    installer = device.process()
    installer.offer(firmware(other, 3))
    report = installer.install(source, index_file(device.folder, other))
    assert report.fetched == 4096  # all else was copied from the slot that runs
    assert (device.folder / "slot-a.img").read_bytes() == other
    assert (device.folder / "slot-b.img").read_bytes() == CONTENT


def test_a_link_that_breaks_is_no_failure(device: Device) -> None:
    source = MemoryImage(CONTENT)
    source.breaks_after = PIECE_BYTES + 5000
    with pytest.raises(FetchError):
        device.install(firmware(CONTENT), CONTENT, source)
    installer = device.process()
    assert installer.recover() is Next.INSTALL
    again = MemoryImage(CONTENT)
    report = installer.install(again, device.folder / "index")
    assert report.fetched == SIZE - PIECE_BYTES
    assert device.process().record.state is S.WRITTEN


def test_a_wrong_image_fails_and_may_be_offered_again(device: Device) -> None:
    with pytest.raises(TrustError):
        device.install(firmware(CONTENT), CONTENT, MemoryImage(changed(CONTENT, 300)))
    assert device.around.told == [S.FAILED]
    assert device.boot_loader.plan() == BootPlan("a")
    assert device.restart().recover() is Next.NOTHING
    device.arm(firmware(CONTENT), CONTENT)
    device.restart()
    assert device.running == "b"


def test_an_index_that_was_not_signed_is_not_used(device: Device) -> None:
    installer = device.process()
    installer.offer(firmware(CONTENT))
    with pytest.raises(TrustError, match="index"):
        installer.install(MemoryImage(CONTENT), index_file(device.folder, changed(CONTENT, 1)))
    assert not (device.folder / "slot-b.img").exists() or device.process().record.state is S.FAILED


def test_nothing_is_armed_that_was_not_told_to_be_written(device: Device) -> None:
    device.around.cannot_tell = True
    with pytest.raises(StoreError):
        device.install(firmware(CONTENT), CONTENT)
    assert device.boot_loader.plan() == BootPlan("a")
    device.around.cannot_tell = False
    installer = device.process()
    assert installer.recover() is Next.ARM
    assert device.around.told == [S.WRITTEN]


def test_the_slot_that_runs_is_never_written(device: Device) -> None:
    installer = device.process()
    installer.offer(firmware(CONTENT))
    device.boot_loader.arm("b")  # somebody else did
    device.boot_loader.boot()
    with pytest.raises(SlotError, match="beside the slot that runs"):
        device.process().install(MemoryImage(CONTENT), index_file(device.folder, CONTENT))
    assert not (device.folder / "slot-b.img").exists()
    assert device.process().recover() is Next.RESTART
    assert device.boot_loader.plan() == BootPlan("a")


def test_a_slot_is_disarmed_before_it_is_written(device: Device) -> None:
    installer = device.process()
    installer.offer(firmware(CONTENT))
    device.boot_loader.arm("b")  # as a rolled-back trial of another tool may leave it
    source = MemoryImage(CONTENT)
    source.breaks_after = 5000
    with pytest.raises(FetchError):
        installer.install(source, index_file(device.folder, CONTENT))
    assert device.boot_loader.plan() == BootPlan("a")


def test_arming_that_never_took_effect_is_done_again(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    installer = device.install(firmware(CONTENT), CONTENT)
    with monkeypatch.context() as patched:
        patched.setattr(device.boot_loader, "_arm", _cut)
        with pytest.raises(KeyboardInterrupt):
            installer.arm()
    installer = device.restart()
    assert device.running == "a"
    assert installer.recover() is Next.RESTART
    assert device.restart().recover() is Next.WATCH
    assert device.running == "b"


def _cut(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_boot_loader_that_refuses_fails_the_release(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    installer = device.install(firmware(CONTENT), CONTENT)
    with monkeypatch.context() as patched:
        patched.setattr(device.boot_loader, "_arm", lambda slot, tries: None)
        with pytest.raises(SlotError, match="reads back as"):
            installer.arm()
    assert device.process().record.state is S.FAILED
    assert device.restart().recover() is Next.NOTHING
    assert device.running == "a"


CUT_AT = ("tell", "raise_floor", "use_manifest", "return_baseline", "forget_baseline")


@pytest.mark.parametrize("call", CUT_AT)
@pytest.mark.parametrize("is_good", [True, False])
def test_a_cut_at_any_call_ends_as_it_would_have_without(
    device: Device, monkeypatch: pytest.MonkeyPatch, call: str, *, is_good: bool
) -> None:
    verdict = PASS if is_good else REJECT
    for number in range(1, 20):
        if not _play_cut(device, monkeypatch, call, number, verdict):
            assert number > 1 or call in {"raise_floor", "forget_baseline"} or is_good
            break
    slot = "b" if is_good else "a"
    assert device.running == slot
    assert device.boot_loader.plan() == BootPlan(slot)


def _play_cut(
    device: Device, monkeypatch: pytest.MonkeyPatch, call: str, number: int, verdict: GateVerdict
) -> bool:
    """The whole way with a cut before the number-th call; whether there was one."""
    calls = 0
    real = getattr(MemoryAround, call)

    def cut(around: MemoryAround, *given: object) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            raise KeyboardInterrupt
        real(around, *given)

    device.__init__(device.folder / f"{call}-{number}-{verdict.answer}")  # type: ignore[misc]
    with monkeypatch.context() as patched:
        patched.setattr(MemoryAround, call, cut)
        for _ in range(6):
            try:
                _go_on(device, verdict)
            except KeyboardInterrupt:
                device.boot_loader.boot()
    return calls >= number


def _go_on(device: Device, verdict: GateVerdict) -> None:
    installer = device.process()
    then = installer.recover()
    if then is Next.NOTHING and installer.record.state is S.IDLE:
        installer.offer(firmware(CONTENT))
        then = Next.INSTALL
    if then is Next.INSTALL:
        installer.install(MemoryImage(CONTENT), index_file(device.folder, CONTENT))
        then = Next.ARM
    if then is Next.ARM:
        then = installer.arm()
    if then is Next.WATCH:
        then = installer.judge(verdict)
    if then is Next.RESTART:
        device.boot_loader.boot()
