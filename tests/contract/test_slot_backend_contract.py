"""What every slot back-end promises (ports/slot_backend.py), run on each file of slots/.

A new back-end adds one file: tests/contract/boot_loaders/<its name>.py (see boot_loader.py).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.contract.boot_loaders.boot_loader import BootLoader

from vedette import slots
from vedette.errors import SlotError
from vedette.model.firmware import BootPlan
from vedette.ports.discover import slot_backend_classes
from vedette.ports.slot_backend import MAX_TRIES, SlotBackend


def boot_loader_classes() -> dict[str, type[BootLoader]]:
    found: dict[str, type[BootLoader]] = {}
    for name in slot_backend_classes(slots):
        module = importlib.import_module(f"tests.contract.boot_loaders.{name}")
        found |= {f"{name}-{one.__name__}": one for one in module.boot_loaders}
    return found


CLASSES: Final = boot_loader_classes()


@pytest.fixture(params=sorted(CLASSES))
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BootLoader]:
    made = CLASSES[request.param]
    if made.refusal():
        pytest.skip(made.refusal())
    loader = made(tmp_path)
    try:
        yield loader
    finally:
        loader.close()


@pytest.fixture
def backend(device: BootLoader) -> SlotBackend:
    return device.backend()


def test_a_new_device_runs_what_is_committed(device: BootLoader, backend: SlotBackend) -> None:
    first, second = backend.slots()
    assert backend.plan() == BootPlan(first)
    assert backend.booted() == first
    assert backend.other(first) == second
    assert backend.other(second) == first
    device.boot()
    assert device.backend().booted() == first


def test_what_is_armed_is_started_next_and_not_before(
    device: BootLoader, backend: SlotBackend
) -> None:
    first, second = backend.slots()
    backend.arm(second)
    assert backend.booted() == first
    assert device.backend().plan() == BootPlan(first, second, MAX_TRIES)
    device.boot()
    assert device.backend().booted() == second


def test_a_trial_that_is_never_committed_falls_back(
    device: BootLoader, backend: SlotBackend
) -> None:
    first, second = backend.slots()
    backend.arm(second)
    started = []
    for _ in range(MAX_TRIES + 2):
        device.boot()
        started.append(device.backend().booted())
    tried = started.count(second)
    assert 1 <= tried <= MAX_TRIES
    assert started == [second] * tried + [first] * (len(started) - tried)


def test_a_committed_trial_is_started_for_ever(device: BootLoader, backend: SlotBackend) -> None:
    second = backend.slots()[1]
    backend.arm(second)
    device.boot()
    device.backend().commit(second)
    for _ in range(MAX_TRIES + 2):
        device.boot()
        assert device.backend().booted() == second
    assert device.backend().plan() == BootPlan(second)


def test_a_trial_is_ended_by_committing_the_slot_before(
    device: BootLoader, backend: SlotBackend
) -> None:
    first, second = backend.slots()
    backend.arm(second)
    device.boot()
    device.backend().commit(first)
    device.boot()
    assert device.backend().booted() == first
    assert device.backend().plan() == BootPlan(first)


def test_a_commit_is_undone_by_committing_the_slot_before(
    device: BootLoader, backend: SlotBackend
) -> None:
    first, second = backend.slots()
    backend.arm(second)
    device.boot()
    device.backend().commit(second)
    device.boot()
    device.backend().commit(first)
    device.boot()
    assert device.backend().booted() == first


def test_the_way_leads_back_and_forth(device: BootLoader, backend: SlotBackend) -> None:
    for slot in (*backend.slots()[::-1], *backend.slots()[::-1]):
        device.backend().arm(slot)
        device.boot()
        device.backend().commit(slot)
        device.boot()
        assert device.backend().booted() == slot
        assert device.backend().plan() == BootPlan(slot)


def test_each_verb_may_be_repeated(device: BootLoader, backend: SlotBackend) -> None:
    first, second = backend.slots()
    backend.arm(second)
    backend.arm(second)
    assert backend.plan() == BootPlan(first, second, MAX_TRIES)
    device.boot()
    again = device.backend()
    again.commit(second)
    again.commit(second)
    assert again.plan() == BootPlan(second)


def test_what_was_armed_can_be_taken_back_before_it_is_started(
    device: BootLoader, backend: SlotBackend
) -> None:
    first, second = backend.slots()
    backend.arm(second)
    backend.commit(first)
    device.boot()
    assert device.backend().booted() == first


@pytest.mark.parametrize("tries", [0, -1, MAX_TRIES + 1, 2**31])
def test_a_number_of_tries_that_cannot_be_counted_is_refused(
    backend: SlotBackend, tries: int
) -> None:
    before = backend.plan()
    with pytest.raises(SlotError, match="tries"):
        backend.arm(backend.slots()[1], tries)
    assert backend.plan() == before


@pytest.mark.parametrize("slot", ["", "c", "../a", "a\nb", "-s"])
def test_a_slot_that_is_not_there_is_refused(backend: SlotBackend, slot: str) -> None:
    before = backend.plan()
    for verb in (backend.arm, backend.commit, backend.place, backend.other):
        with pytest.raises(SlotError, match="expected slot"):
            verb(slot)
    assert backend.plan() == before


def test_a_place_is_named_for_each_slot(backend: SlotBackend) -> None:
    for slot in backend.slots():
        assert backend.place(slot).is_absolute()


def test_a_boot_has_an_id(backend: SlotBackend) -> None:
    assert backend.boot_id()
    assert backend.boot_id() == backend.boot_id()


def test_a_disk_that_refuses_leaves_all_as_it_was(device: BootLoader, backend: SlotBackend) -> None:
    second = backend.slots()[1]
    for verb in ("arm", "commit"):
        device.refuse()
        with pytest.raises(SlotError):
            getattr(device.backend(), verb)(second)
    device.allow()
    assert device.backend().plan() == BootPlan(backend.slots()[0])


def test_a_tool_that_lies_is_caught(device: BootLoader, backend: SlotBackend) -> None:
    second = backend.slots()[1]
    if not device.lie():
        pytest.skip("no tool stands between")
    with pytest.raises(SlotError, match=r"reads? back"):
        device.backend().arm(second)
    with pytest.raises(SlotError, match=r"reads? back"):
        device.backend().commit(second)


def test_nonsense_in_the_boot_loaders_state_is_an_error(device: BootLoader) -> None:
    if not device.damage():
        pytest.skip("its state is not ours to read")
    with pytest.raises(SlotError):
        device.backend().plan()
