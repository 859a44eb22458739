"""Applies a release of firmware: into the slot that does not run, then a start, a trial, a verdict.

Rule 1: nothing of an image is staged: its bytes go from the source into the slot. Its index and
file manifest are files, fetched and checked before the first byte is written.
Rule 2: the device is started anew by the configured command, or by whoever likes: until then the
firmware that runs goes on, and the boot loader already knows.
"""

from __future__ import annotations

import time
from pathlib import Path

from vedette import slots
from vedette.core.health_gate import GateLimits
from vedette.daemon.appliers import _staged
from vedette.daemon.appliers.applier import Applied, Context
from vedette.daemon.build import BUILD_S
from vedette.daemon.config import Config
from vedette.daemon.firmware_baseline import manifest_path
from vedette.daemon.installer.firmware import FirmwareInstaller, Next
from vedette.daemon.installer.firmware_around import FirmwareAround, state_folder
from vedette.daemon.installer.firmware_watch import look_at_device, watch
from vedette.daemon.installer.linked_source import TargetImage
from vedette.daemon.step_teller import StepTeller
from vedette.errors import RequestError, SlotError, TrustError
from vedette.kernel import program
from vedette.model.firmware import FirmwareState
from vedette.model.release import PartKind, Release, Urgency
from vedette.model.update import Cause, Step
from vedette.ports.discover import slot_backend_classes
from vedette.ports.release_source import ReleaseSource
from vedette.ports.slot_backend import SlotBackend, SlotContext
from vedette.store import durable
from vedette.store.firmware import FirmwareStore
from vedette.store.state import FileState
from vedette.trust.tuf_floors import Floors

RESTART_TIMEOUT_S = 60.0

_BUSY = frozenset({FirmwareState.ARMED, FirmwareState.TRIAL})


class FirmwareApplier:
    """As daemon/appliers/applier.py promises."""

    def __init__(self, context: Context) -> None:
        self._config, self._teller = context.config, context.teller
        self._folder = context.config.firmware_folder
        self._around = FirmwareAround(context.config, context.teller, context.floors)
        self._installer = _installer(context.config, self._around)

    def apply(self, release: Release, source: ReleaseSource) -> Applied:
        """Write a release beside what runs and let it be tried."""
        installer = self._installer
        if release.target.sha256 == installer.record.failed_sha256:
            return Applied.REFUSED  # told when it was rolled back
        if self._is_ready(release):
            return self._restart(Next.RESTART)
        try:
            self._offer(release)
        except RequestError as error:
            self._teller.release(Step.DEFERRED, release, cause=Cause.BUSY, reason=str(error))
            return Applied.UNDER_WAY
        try:
            self._install(release, source)
            return self._restart(installer.arm())
        except TrustError:
            return Applied.REFUSED  # told by its record
        except SlotError:
            return Applied.UNDER_WAY

    def recover(self) -> None:
        """Finish what a start or a cut left open, and judge what is on trial."""
        then = self._installer.recover()
        self._around.remind()
        if then is Next.WATCH:
            firmware = self._config.firmware
            limits = GateLimits(firmware.settle_s, firmware.trial_s, firmware.late_s)
            then = watch(
                self._installer, lambda: look_at_device(self._config), limits,
                pause=lambda: time.sleep(firmware.look_s),
            )  # fmt: skip
        self._restart(then)

    def roll_back(self, reason: str) -> None:
        """Return to the firmware before.

        Raises:
            RequestError: there is none, or its window is over.
        """
        self._installer.recover()
        self._restart(self._installer.roll_back(reason))

    def _is_ready(self, release: Release) -> bool:
        """Whether the slot is armed with this very release."""
        record = self._installer.record
        return (
            record.state is FirmwareState.ARMED
            and record.release is not None
            and record.release.target.sha256 == release.target.sha256
        )

    def _offer(self, release: Release) -> None:
        record = self._installer.record
        if record.state in _BUSY:
            raise RequestError("another firmware is on trial")
        if release.urgency is Urgency.URGENT and record.window_left_s:
            self._installer.end_window()
        self._installer.offer(release)

    def _install(self, release: Release, source: ReleaseSource) -> None:
        index = self._part(release, PartKind.BLOCK_INDEX, source)
        manifest = self._part(release, PartKind.FILE_MANIFEST, source)
        if manifest is not None:
            sha256 = release.parts[PartKind.FILE_MANIFEST].sha256
            durable.rename(manifest, manifest_path(self._folder, sha256))
        fetch_path = _staged.verified(release.target, release.kind).fetch_path
        self._installer.install(TargetImage(source, fetch_path), index)
        if index is not None:
            durable.remove(index)

    def _part(self, release: Release, kind: PartKind, source: ReleaseSource) -> Path | None:
        part = release.parts.get(kind)
        if part is None:
            return None
        return _staged.fetch(source, part, release.kind, self._folder / "staging")

    def _restart(self, then: Next) -> Applied:
        argv = self._config.firmware.restart
        if then is Next.RESTART and argv:
            try:
                ran = program.run(argv, RESTART_TIMEOUT_S)
            except (OSError, TimeoutError) as error:
                raise SlotError(f"{argv[0]}: cannot start the device anew: {error}") from error
            if ran.status:
                raise SlotError(f"{argv[0]}: left with {ran.status}: {ran.output.strip()[-200:]}")
        return Applied.UNDER_WAY


def applier(context: Context) -> FirmwareApplier:
    """The applier of this kind.

    Raises:
        SlotError: the configured back-end cannot be used.
    """
    return FirmwareApplier(context)


def recover(context: Context) -> None:
    """Finish what was left open, where this device takes firmware."""
    if context.config.firmware.backend:
        FirmwareApplier(context).recover()


def roll_back(config: Config, by: str, reason: str) -> str:
    """Return to the firmware before, as an operator asked; returns words for people.

    Hold the lock of updates meanwhile (daemon/update_run.py).

    Raises:
        RequestError: there is none to return to.
        DeviceError: it could not be done.
    """
    if not config.firmware.backend:
        raise RequestError("this device takes no firmware: [firmware] backend is not set")
    teller = StepTeller(config.control_socket, config.updates_folder / "steps", by=by)
    floors = Floors(FileState(Path(config.paths.state) / "releases" / "floors"), BUILD_S)
    context = Context(config, teller, config.updates_folder / "staging", floors)
    FirmwareApplier(context).roll_back(reason)
    if config.firmware.restart:
        return "the firmware before is started now"
    return "the firmware before is what this device starts next: start it anew"


def backend(config: Config) -> SlotBackend:
    """The configured boot loader.

    Raises:
        SlotError: there is none, or it does not know an option.
    """
    name = config.firmware.backend
    classes = slot_backend_classes(slots)
    if name not in classes:
        raise SlotError(f"[firmware] backend: expected one of {', '.join(classes)}, got {name!a}")
    unknown = config.firmware.slots.keys() - classes[name].options.keys()
    if unknown:
        raise SlotError(
            f"[firmware.slots] {min(unknown)}: {name} has no such option; it has "
            f"{', '.join(classes[name].options)}"
        )
    folder = config.firmware_folder / name
    durable.make_folder(folder)
    return classes[name](SlotContext(folder, durable.write, config.firmware.slots))


def _installer(config: Config, around: FirmwareAround) -> FirmwareInstaller:
    state = FileState(state_folder(config))
    store, tries = FirmwareStore(state), config.firmware.tries
    return FirmwareInstaller(backend(config), store, around, tries)
