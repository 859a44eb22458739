from __future__ import annotations

from tests.simulators.memory_state import MemoryState

from vedette.store.journal_numbers import BLOCK, Sequences


def test_a_block_costs_one_write_of_the_state() -> None:
    state = MemoryState()
    numbers = Sequences(state)
    assert numbers.take() == 1
    reserved = dict(state.values)
    assert [numbers.take() for _ in range(BLOCK - 1)] == list(range(2, BLOCK + 1))
    assert state.values == reserved
    assert numbers.take() == numbers.newest == BLOCK + 1
    assert state.values != reserved


def test_whoever_begins_anew_skips_all_that_may_have_been_used() -> None:
    state = MemoryState()
    Sequences(state).take()
    again = Sequences(state)
    again.skip_reserved()
    assert again.take() == BLOCK + 1


def test_what_was_used_elsewhere_is_not_used_again_and_nothing_goes_back() -> None:
    numbers = Sequences(MemoryState())
    numbers.go_beyond(41)
    numbers.go_beyond(7)
    assert numbers.take() == 42


def test_a_disk_that_refuses_is_a_warning_and_no_reason_to_be_silent() -> None:
    state = MemoryState()
    state.is_full = True
    numbers = Sequences(state)
    assert (numbers.take(), numbers.take()) == (1, 2)
    assert numbers.warning.startswith("sequence numbers could not be reserved: no space")
    state.is_full = False
    assert numbers.take() == 3
    assert numbers.warning == ""
