"""A firmware handed to the real RAUC, over its whole way: bundle, slot, start, commit, way back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.boot_loaders.rauc import Rauc
from tests.simulators.firmware_around import MemoryAround
from tests.simulators.images import MemoryImage, firmware, image, index_file
from tests.simulators.memory_state import MemoryState

from vedette.core.health_gate import GateAnswer, GateVerdict
from vedette.daemon.installer.firmware import FirmwareInstaller, Next
from vedette.errors import SlotError
from vedette.model.firmware import FirmwareState
from vedette.store.firmware import FirmwareStore

CONTENT = image(5, 300_000)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Rauc]:
    if Rauc.refusal():
        pytest.skip(Rauc.refusal())
    made = Rauc(tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.system
def test_a_bundle_is_installed_started_committed_and_left_again(
    device: Rauc, tmp_path: Path
) -> None:
    store, around = FirmwareStore(MemoryState()), MemoryAround()

    def process() -> FirmwareInstaller:
        return FirmwareInstaller(device.backend(), store, around)

    bundle = device.bundle(CONTENT).read_bytes()
    installer = process()
    installer.offer(firmware(bundle, late_rollback_s=60))
    installer.install(MemoryImage(bundle), index_file(tmp_path, bundle))
    assert (tmp_path / "slot-1").read_bytes()[: len(CONTENT)] == CONTENT
    assert device.backend().plan().trial == ""
    installer.arm()
    device.boot()
    assert device.backend().booted() == "B"
    installer = process()
    assert installer.recover() is Next.WATCH
    installer.judge(GateVerdict(GateAnswer.PASS, ""))
    device.boot()
    assert device.backend().booted() == "B"
    installer = process()
    assert installer.roll_back("an operator asked") is Next.RESTART
    device.boot()
    assert device.backend().booted() == "A"
    assert process().recover() is Next.NOTHING


@pytest.mark.system
def test_a_bundle_that_rauc_does_not_trust_is_not_installed(device: Rauc, tmp_path: Path) -> None:
    store = FirmwareStore(MemoryState())
    installer = FirmwareInstaller(device.backend(), store, MemoryAround())
    installer.offer(firmware(CONTENT))  # signed as a release, but no bundle
    with pytest.raises(SlotError, match=r"rauc.* install"):
        installer.install(MemoryImage(CONTENT), index_file(tmp_path, CONTENT))
    assert store.load().state is FirmwareState.FAILED
    assert not any((tmp_path / "slot-1").read_bytes())
    assert device.backend().booted() == "A"
