"""Takes one firmware from its offer to a commit or a rollback, over any cut and any start.

Rule 1: a state is on the disk before its step is carried out, and `recover` carries out again what
was not finished; so `recover` comes first in every process, and may come at any time.
Rule 2: nothing is written to a slot while the boot loader may start it, and nothing ever to the
slot that runs.
Rule 3: only one process of a device has an object of this class at a time (the update's lock).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from vedette.core import firmware_states
from vedette.core.firmware_states import FirmwareEvent, Step
from vedette.core.health_gate import GateAnswer, GateVerdict
from vedette.errors import RequestError, SlotError, StoreError, TrustError
from vedette.model.firmware import BootPlan, FirmwareRecord, FirmwareState
from vedette.model.release import PartKind, Release
from vedette.model.update import Cause
from vedette.ports.image_source import ImageSource
from vedette.ports.slot_backend import MAX_TRIES, SlotBackend
from vedette.store import slot_writer
from vedette.store.block_index import BlockIndexFile
from vedette.store.firmware import FirmwareStore
from vedette.store.slot_file import SlotFile
from vedette.store.slot_writer import WriteReport

_STARTED = {
    FirmwareEvent.STARTED_NEW: "a slot was started that nothing here had armed",
    FirmwareEvent.STARTED_OLD: "the device started the slot before by itself",
}
_TOLD_FIRST = frozenset({FirmwareState.WRITTEN, FirmwareState.TRIAL})
_TOLD_LAST = frozenset({FirmwareState.COMMITTED, FirmwareState.ROLLED_BACK, FirmwareState.FAILED})


class Next(StrEnum):
    """What whoever asked has to do now."""

    NOTHING = "nothing"
    INSTALL = "install"
    """A slot is half written: call `install` with the same release's image."""
    ARM = "arm"
    """A slot is written and read back."""
    RESTART = "restart"
    """Start the device anew; what is started then is in the boot loader."""
    WATCH = "watch"
    """Look at the device's health and call `judge`."""


class Surroundings(Protocol):
    """What a firmware's steps touch beside slot and boot loader; each call may come again."""

    def tell(self, record: FirmwareRecord, report: WriteReport | None) -> None:
        """Record a step (it is on the disk when this returns), or raise and nothing goes on.

        Args:
            report: what this process wrote, where it did.
        """

    def raise_floor(self, name: str, counter: int) -> None:
        """Take no release of this name below the counter any more."""

    def use_manifest(self, release: Release) -> None:
        """Make the release's file manifest the baseline, and keep the one before."""

    def return_baseline(self) -> None:
        """Make the kept baseline the baseline again, if one is kept."""

    def forget_baseline(self) -> None:
        """Let go of the kept baseline."""


class FirmwareInstaller:
    """The firmware of this device.

    Args:
        backend: the boot loader.
        store: of the record.
        around: what else the steps touch.
        tries: how many starts the boot loader gives a trial.

    Attributes:
        record: where it stands.
    """

    def __init__(
        self,
        backend: SlotBackend,
        store: FirmwareStore,
        around: Surroundings,
        tries: int = MAX_TRIES,
    ) -> None:
        self._backend, self._store, self._around = backend, store, around
        self._tries = tries
        self.record = store.load()
        self._report: WriteReport | None = None

    def recover(self) -> Next:
        """See what the device started, and finish what a cut left unfinished.

        Raises:
            SlotError, StoreError: it cannot be finished now; the next call tries again.
        """
        event = self._started()
        if event is not None and self._is_expected(event):
            self._move(event)
        elif event is not None:
            self._move(event, Cause.TIMEOUT, _STARTED[event])
        elif self.record.state is FirmwareState.ARMED and not self.record.is_done:
            self._move(FirmwareEvent.ARM)
        else:
            self._carry_out()
        return self._next()

    def offer(self, release: Release) -> None:
        """Take a verified release as the one to install.

        Raises:
            RequestError: it may not be taken now; the words say why.
        """
        running = self._backend.booted()
        slot = self._backend.other(running)
        self._save(firmware_states.offered(self.record, release, slot=slot, running_slot=running))

    def install(self, source: ImageSource, index: Path | None) -> WriteReport:
        """Write the release's image and read it back; goes on where a cut ended an earlier call.

        Args:
            source: of the image.
            index: its block index, where the release has one; checked here.

        Returns:
            What this call did.

        Raises:
            FetchError: the source broke off; call it again later.
            TrustError, StoreError, SlotError: the image, the disk or the slot is not usable; the
                release has failed, and may be offered again.
        """
        self._move(FirmwareEvent.BEGIN)
        try:
            report = self._write(source, index)
        except (TrustError, StoreError, SlotError) as error:
            cause = Cause.CONTENT if isinstance(error, TrustError) else Cause.DISK
            self._move(FirmwareEvent.BREAK, cause, str(error))
            raise
        self._report = report
        self._move(FirmwareEvent.FINISH)
        return report

    def arm(self) -> Next:
        """Let the boot loader try the new slot at the next start.

        Raises:
            SlotError: it does not take it; the release has failed.
        """
        try:
            self._move(FirmwareEvent.ARM)
        except SlotError as error:
            self._move(FirmwareEvent.BREAK, Cause.DISK, str(error))
            raise
        return self._next()

    def judge(self, verdict: GateVerdict) -> Next:
        """Take what the health gate says of the device as it runs."""
        if verdict.answer is GateAnswer.REJECT:
            return self.roll_back(verdict.reason, Cause.HEALTH)
        if verdict.answer is GateAnswer.PASS and self.record.state is FirmwareState.TRIAL:
            self._move(FirmwareEvent.PASS)
        return self._next()

    def roll_back(self, reason: str, cause: Cause = Cause.OPERATOR) -> Next:
        """Return to the firmware before.

        Raises:
            RequestError: there is none to return to, or its window is over.
        """
        self._move(FirmwareEvent.REJECT, cause, reason)
        return self._next()

    def elapse(self, boot_s: float) -> None:
        """Count running time against the window in which a rollback is allowed.

        Args:
            boot_s: seconds since this boot (CLOCK_BOOTTIME).
        """
        boot_id = self._backend.boot_id()
        self._end_or_go_on(
            firmware_states.elapsed(self.record, boot_id=boot_id, boot_s=int(boot_s))
        )

    def end_window(self) -> None:
        """End that window now."""
        self._end_or_go_on(firmware_states.without_window(self.record))

    def _is_expected(self, event: FirmwareEvent) -> bool:
        return event is FirmwareEvent.STARTED_NEW and self.record.state in {
            FirmwareState.ARMED, FirmwareState.TRIAL,
        }  # fmt: skip

    def _end_or_go_on(self, after: FirmwareRecord) -> None:
        if after != self.record:
            self._save(after)
            self._carry_out()

    def _started(self) -> FirmwareEvent | None:
        """Which slot was started, where that means something in this state."""
        record, state = self.record, self.record.state
        if state in {FirmwareState.IDLE, FirmwareState.FAILED, FirmwareState.ROLLED_BACK}:
            return None
        is_new = self._backend.booted() == record.slot
        is_same_boot = self._backend.boot_id() == record.boot_id
        match state:
            case FirmwareState.ARMED if is_new:
                return FirmwareEvent.STARTED_NEW
            case FirmwareState.ARMED if record.is_done and not is_same_boot:
                return FirmwareEvent.STARTED_OLD
            case FirmwareState.TRIAL if is_new:
                return None if is_same_boot else FirmwareEvent.STARTED_NEW
            case FirmwareState.TRIAL | FirmwareState.COMMITTED if not is_new:
                return FirmwareEvent.STARTED_OLD
            case FirmwareState.OFFERED | FirmwareState.WRITING | FirmwareState.WRITTEN if is_new:
                return FirmwareEvent.STARTED_NEW
            case _:
                return None

    def _move(self, event: FirmwareEvent, cause: Cause = Cause.NONE, reason: str = "") -> None:
        after = firmware_states.moved(
            self.record, event, boot_id=self._backend.boot_id(), cause=cause, reason=reason
        )
        self._save(after)
        self._carry_out()

    def _carry_out(self) -> None:
        record = self.record
        step = firmware_states.STEPS[record.state]
        if record.is_done:
            return
        if record.state in _TOLD_FIRST:
            self._around.tell(record, self._report)
        self._acts[step](self)
        if record.state in _TOLD_LAST:
            self._around.tell(record, self._report)
        if step is not Step.WRITE:  # done when its FINISH comes
            self._save(replace(self.record, is_done=True))

    def _write_step(self) -> None:
        """Nothing may start the slot from here on until it is armed."""
        running = self._backend.booted()
        if running == self.record.slot:
            raise SlotError(f"expected to write beside the slot that runs, which is {running!a}")
        if self._backend.plan() != BootPlan(running):
            self._backend.commit(running)

    def _arm_step(self) -> None:
        self._backend.arm(self.record.slot, self._tries)

    def _watch_step(self) -> None:
        if self.record.release is not None:
            self._around.use_manifest(self.record.release)

    def _commit_step(self) -> None:
        record = self.record
        self._backend.commit(record.slot)
        self._around.raise_floor(record.running.name, firmware_states.floor(record))
        if not record.window_left_s:
            self._around.forget_baseline()

    def _return_step(self) -> None:
        self._backend.commit(self.record.before_slot)
        self._around.return_baseline()

    def _clean_step(self) -> None:
        if self._backend.plan().trial == self.record.slot:
            self._backend.commit(self.record.before_slot)

    def _nothing(self) -> None:
        """Some states are no more than a record."""

    _acts: dict[Step, Callable[[FirmwareInstaller], None]] = {  # noqa: RUF012 - never changed
        Step.NONE: _nothing,
        Step.REPORT: _nothing,
        Step.WRITE: _write_step,
        Step.ARM: _arm_step,
        Step.WATCH: _watch_step,
        Step.COMMIT: _commit_step,
        Step.RETURN: _return_step,
        Step.CLEAN: _clean_step,
    }

    def _write(self, source: ImageSource, index: Path | None) -> WriteReport:
        record = self.record
        release = record.release
        if release is None:
            raise RequestError("expected a release that was offered, got none")
        size, sha256 = release.target.length, release.target.sha256
        place = self._backend.place(record.slot)
        with ExitStack() as stack:
            slot = stack.enter_context(closing(SlotFile(place, size)))
            if index is None:
                report = slot_writer.write_whole(
                    slot, source, sha256=sha256, start=record.marked_bytes, mark=self._mark
                )
            else:
                part = release.parts[PartKind.BLOCK_INDEX]
                blocks = BlockIndexFile(index, image_bytes=size, sha256=part.sha256)
                stack.enter_context(closing(blocks))
                other = self._other_slot(stack, place, size)
                report = slot_writer.write_missing(slot, source, blocks, other)
            slot_writer.read_back(slot, sha256)
        self._backend.install(record.slot, place)
        return report

    def _other_slot(self, stack: ExitStack, place: Path, size: int) -> SlotFile | None:
        """The slot that runs, to copy from; None where it cannot be read: then all is fetched."""
        path = self._backend.place(self.record.before_slot)
        if path == place:
            return None
        try:
            return stack.enter_context(closing(SlotFile(path, size, is_read_only=True)))
        except StoreError:
            return None

    def _mark(self, marked_bytes: int) -> None:
        self._save(replace(self.record, marked_bytes=marked_bytes))

    def _save(self, record: FirmwareRecord) -> None:
        self._store.save(record)
        self.record = record

    def _next(self) -> Next:
        record = self.record
        match record.state:
            case FirmwareState.WRITING:
                return Next.INSTALL
            case FirmwareState.WRITTEN:
                return Next.ARM
            case FirmwareState.ARMED:
                return Next.RESTART
            case FirmwareState.TRIAL:
                return Next.WATCH
            case FirmwareState.COMMITTED if record.window_left_s:
                return Next.WATCH
            case FirmwareState.ROLLED_BACK if self._backend.booted() == record.slot:
                return Next.RESTART
            case _:
                return Next.NOTHING
