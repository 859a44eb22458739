from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.serial_gaps import MAX_RANGES, SETTLE_S, SerialGaps

LATER = SETTLE_S + 1


def lost(serials: list[int]) -> int:
    gaps = SerialGaps()
    for serial in serials:
        gaps.note(serial, 0.0)
    return gaps.take_lost(LATER)


@pytest.mark.parametrize(
    ("serials", "expected"),
    [
        ([], 0),
        ([7], 0),
        ([7, 7, 8, 9], 0),
        ([7, 9], 1),
        ([7, 9, 8], 0),
        ([7, 12, 9, 9], 3),
        ([7, 12, 8, 11, 10, 9], 0),
        ([2**32 - 2, 1], 2),
        ([2**32 - 2, 1, 2**32 - 1, 0], 0),
        ([1, 100_001], 99_999),
        ([5, 3], 0),
    ],
)
def test_what_did_not_come_is_counted(serials: list[int], expected: int) -> None:
    assert lost(serials) == expected


def test_a_number_may_come_late_but_not_later_than_a_second() -> None:
    gaps = SerialGaps()
    gaps.note(1, 0.0)
    gaps.note(3, 0.0)
    assert (gaps.missing, gaps.take_lost(SETTLE_S / 2)) == (1, 0)
    assert (gaps.take_lost(SETTLE_S), gaps.missing, gaps.take_lost(LATER)) == (1, 0, 0)


def test_waiting_longer_begins_the_second_anew() -> None:
    gaps = SerialGaps()
    gaps.note(1, 0.0)
    gaps.note(3, 0.0)
    gaps.wait_longer(SETTLE_S)
    assert gaps.take_lost(SETTLE_S) == 0
    assert gaps.take_lost(2 * SETTLE_S) == 1


def test_many_gaps_take_bounded_memory_and_are_all_counted() -> None:
    gaps = SerialGaps()
    wanted = 3 * MAX_RANGES
    for serial in range(0, 2 * wanted + 1, 2):
        gaps.note(serial, 0.0)
    assert gaps.missing == MAX_RANGES
    assert gaps.take_lost(LATER) == wanted


@given(st.sets(st.integers(0, 300), min_size=2), st.integers(0, 999))
def test_the_count_is_right_in_any_order(came: set[int], seed: int) -> None:
    first, *rest = sorted(came)
    order = [first, *sorted(rest, key=lambda n: n // 8 * 8 + hash((n, seed)) % 8)]
    assert lost(order) == max(came) - min(came) + 1 - len(came)
