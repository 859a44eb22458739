from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vedette.core.token_bucket import TokenBucket


def test_without_a_limit_nobody_waits() -> None:
    bucket = TokenBucket(0)
    assert bucket.take(1 << 40, 0.0) == 0.0
    assert bucket.take(1 << 40, 0.0) == 0.0


def test_a_seconds_worth_is_there_at_once_and_what_is_more_is_waited_for() -> None:
    bucket = TokenBucket(1000)
    assert bucket.take(1000, 5.0) == 0.0
    assert bucket.take(500, 5.0) == 0.5
    assert bucket.take(0, 5.5) == 0.0


def test_idle_time_saves_one_second_and_no_more() -> None:
    bucket = TokenBucket(1000)
    bucket.take(1000, 0.0)
    assert bucket.take(2000, 1_000_000.0) == 1.0


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(1000)
    bucket.take(1000, 100.0)
    assert bucket.take(100, 0.0) == 0.1


@given(st.lists(st.integers(0, 5000), max_size=60), st.integers(1, 4000))
def test_over_any_time_it_is_the_limit_and_a_seconds_worth(counts: list[int], rate: int) -> None:
    bucket, now_s, taken = TokenBucket(rate), 0.0, 0
    for count in counts:
        taken += count
        now_s += bucket.take(count, now_s)
        assert taken <= rate * now_s + rate + 1e-6 * taken
