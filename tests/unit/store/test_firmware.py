"""The record of a firmware is kept whole, in two copies."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.simulators.images import firmware, image
from tests.simulators.memory_state import MemoryState

from vedette.errors import StoreError
from vedette.model.firmware import FirmwareRecord, FirmwareState
from vedette.store.firmware import FirmwareStore, peek
from vedette.store.state import COPIES, FileState

RECORD = FirmwareRecord(FirmwareState.OFFERED, release=firmware(image(1, 5000)), slot="b")


def test_a_new_device_has_an_idle_one(tmp_path: Path) -> None:
    assert FirmwareStore(FileState(tmp_path / "state")).load() == FirmwareRecord()


def test_it_outlives_either_copy(tmp_path: Path) -> None:
    for lost in COPIES:
        FirmwareStore(FileState(tmp_path / "state")).save(RECORD)
        (tmp_path / "state" / lost).write_bytes(b"torn")
        assert FirmwareStore(FileState(tmp_path / "state")).load() == RECORD


def test_a_disk_that_refuses_leaves_the_one_before() -> None:
    state = MemoryState()
    store = FirmwareStore(state)
    store.save(RECORD)
    state.is_full = True
    with pytest.raises(StoreError):
        store.save(FirmwareRecord())
    assert store.load() == RECORD


def test_what_is_none_is_told_and_not_taken_for_a_new_device() -> None:
    state = MemoryState()
    state.update({"firmware": "{}"})
    with pytest.raises(StoreError, match="cannot be read"):
        FirmwareStore(state).load()


def test_a_look_at_it_mends_nothing(tmp_path: Path) -> None:
    assert peek(tmp_path / "state") is None
    FirmwareStore(FileState(tmp_path / "state")).save(RECORD)
    assert peek(tmp_path / "state") == RECORD
    for lost in COPIES:
        (tmp_path / "state" / lost).write_bytes(b"torn")
        assert (peek(tmp_path / "state") == RECORD) is (lost == COPIES[0])
        assert (tmp_path / "state" / lost).read_bytes() == b"torn"
